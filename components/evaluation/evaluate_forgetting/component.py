"""The component ``evaluate_forgetting``."""

from typing import Any

from kfp import dsl

from anamnesis.components.image import component


@component
def evaluate_forgetting(request: str, version: str, test_set: str, metrics: dsl.Output[dsl.Metrics]) -> None:
    """Evaluates the new version on the frozen test set of every task.

    The evaluations are stored in the registry, once per test set; a repeated run reuses them.

    Args:
        request: The encoded `UpdateRequest`, as JSON.
        version: Digest of the new version.
        test_set: Digest of the new site's test set.
        metrics: Scores by site, task and name.
    """
    from anamnesis.components.artifacts import finite_metrics
    from anamnesis.components.step_reporter import read_request, report_step

    with report_step("evaluate_forgetting", request) as step_reporter:
        from anamnesis.steps import evaluate_forgetting as evaluate

        result: dict[str, Any] = evaluate(read_request(request), version, test_set, step_reporter.progress)
        summary = finite_metrics(result["summary"])
        metrics.metadata.update(summary)
        step_reporter.outputs = {**result, "summary": summary}
