"""The component ``promote_model``."""

from typing import Any, NamedTuple

from kfp import dsl

from anamnesis.components.image import component


@component
def promote_model(
    request: str,
    version: str,
    test_set: str,
    update_result: str,
    decision: dsl.Output[dsl.Markdown],
) -> NamedTuple("Outputs", [("verdict", str), ("promoted", bool), ("champion", str)]):  # type: ignore[valid-type]
    """Evaluates the gate for the new version, and promotes the version when the gate and its policy allow it.

    A repeated run does not write the decision again. In an update of an operator this step only shows the decision;
    the operator promotes the version, after the approval of a person when the policy requires one.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        version: Digest of the new version.
        test_set: Digest of the new site's test set.
        update_result: Output of `ingest_site`, as JSON; this step adds the version and stores it for the operator.
        decision: The verdict, with value and limit of each criterion.

    Returns:
        verdict: `promote`, `await_evaluations`, `await_approval`, `reject` or `superseded`.
        promoted: Whether the new version is the champion.
        champion: Digest of the champion; empty when there is none.
    """
    import json
    from pathlib import Path

    from anamnesis.components.artifacts import decision_table
    from anamnesis.components.step_reporter import read_request, report_step

    with report_step("promote_model", request) as step_reporter:
        from anamnesis.steps import promote_model as promote

        update_request = read_request(request)
        result: dict[str, Any] = promote(
            update_request,
            version,
            test_set,
            author=update_request["author"],
            update_result=json.loads(update_result),
        )
        Path(decision.path).write_text(decision_table(result["decision"]), encoding="utf-8")
        step_reporter.outputs = result
    return result["verdict"], result["promoted"], result["champion"] or ""
