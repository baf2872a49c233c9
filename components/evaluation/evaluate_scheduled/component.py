"""The component ``evaluate_scheduled``."""

from typing import Any

from kfp import dsl

from anamnesis.components.image import component


@component
def evaluate_scheduled(request: str, model: str, workers: int, metrics: dsl.Output[dsl.Metrics]) -> None:
    """Evaluates the champion again, on every frozen test set and on cases that arrived after its training.

    Nothing is trained. The result is stored in the registry, once per name; a repeated run reuses it.

    Args:
        request: The encoded `EvaluationRequest`, as JSON.
        model: Name of the model; empty, or equal to the name in the request.
        workers: Processes that read files in parallel.
        metrics: The primary metric by site and evaluation set.
    """
    from anamnesis.components.artifacts import finite_metrics
    from anamnesis.components.step_reporter import check_display_name, read_request, report_step

    with report_step("evaluate_scheduled", request) as step_reporter:
        from anamnesis.steps import evaluate_scheduled as evaluate

        evaluation_request = read_request(request)
        check_display_name("model", model, evaluation_request["model"])
        result: dict[str, Any] = evaluate(evaluation_request, workers, step_reporter.progress)
        summary = finite_metrics(result["summary"])
        metrics.metadata.update(summary)
        step_reporter.outputs = {**result, "summary": summary}
