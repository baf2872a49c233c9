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
    """Lets the gate judge the new version, and promotes it where the gate and its policy say so.

    Repeating is harmless: a decision that was written is not written again. Where an operator asked for the update, the
    gate's answer is only shown: the operator promotes, after a person's approval where one is needed.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        version: Digest of the version to judge.
        test_set: Digest of the new site's test set.
        update_result: What the ingest found, as JSON; completed by the version and left for the operator.
        decision: The verdict, with value and limit of each criterion.

    Returns:
        verdict: `promote`, `await_evaluations`, `await_approval`, `reject` or `superseded`.
        promoted: Whether this version is now in use.
        champion: Digest of the version in use, empty while there is none.
    """
    import json
    from pathlib import Path

    from anamnesis.components.artifacts import decision_table
    from anamnesis.components.step_reporter import read_request, report_step

    with report_step("promote_model") as step_reporter:
        from anamnesis.steps import promote_model as promote

        update_request = read_request(request)
        result: dict[str, Any] = promote(
            update_request, version, test_set, update_request["author"], json.loads(update_result)
        )
        Path(decision.path).write_text(decision_table(result["decision"]), encoding="utf-8")
        step_reporter.outputs = result
    return result["verdict"], result["promoted"], result["champion"] or ""
