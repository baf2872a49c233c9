"""The component ``evaluate_saliency``."""

from typing import Any

from kfp import dsl

from anamnesis.components.image import component


@component
def evaluate_saliency(request: str, version: str, test_set: str, metrics: dsl.Output[dsl.Metrics]) -> None:
    """Measures whether the saliency maps show what the answers depend on, and whether earlier sites keep theirs.

    The evaluations are stored in the registry, once per test set; a repeated run reuses them.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        version: Digest of the new version.
        test_set: Digest of the new site's test set.
        metrics: Deletion and agreement of saliency maps by site and name.
    """
    from anamnesis.components.artifacts import finite_metrics
    from anamnesis.components.step_reporter import read_request, report_step

    with report_step("evaluate_saliency", request) as step_reporter:
        from anamnesis.steps import evaluate_saliency as evaluate

        result: dict[str, Any] = evaluate(read_request(request), version, test_set, step_reporter.progress)
        summary = finite_metrics(result["summary"])
        metrics.metadata.update(summary)
        step_reporter.outputs = {**result, "summary": summary}
