"""The component ``evaluate_scheduled``."""

from typing import Any

from kfp import dsl

from anamnesis.components.image import component


@component
def evaluate_scheduled(request: str, model: str, workers: int, metrics: dsl.Output[dsl.Metrics]) -> None:
    """Judges the version in use anew: on every frozen test set, and on cases that arrived since it learned.

    Nothing is trained. What was found goes to the registry, once per name; a second run finds it there.

    Args:
        request: The encoded `EvaluationRequest`, as JSON.
        model: Name of the model; when given it must be the request's.
        workers: Processes that read files side by side.
        metrics: The primary metric by site and window.
    """
    from anamnesis.components.artifacts import finite_metrics
    from anamnesis.components.step_reporter import check_display_name, read_request, report_step

    with report_step("evaluate_scheduled") as step_reporter:
        from anamnesis.steps import evaluate_scheduled as evaluate

        evaluation_request = read_request(request)
        check_display_name("model", model, evaluation_request["model"])
        result: dict[str, Any] = evaluate(evaluation_request, workers, step_reporter.progress)
        summary = finite_metrics(result["summary"])
        metrics.metadata.update(summary)
        step_reporter.outputs = {**result, "summary": summary}
