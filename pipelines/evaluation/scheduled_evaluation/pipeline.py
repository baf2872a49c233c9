"""The pipeline of a scheduled evaluation."""

from kfp import dsl

from anamnesis.components.evaluation.evaluate_scheduled.component import evaluate_scheduled


@dsl.pipeline(name="scheduled-evaluation")  # type: ignore[untyped-decorator]
def scheduled_evaluation(request: str, model: str = "", workers: int = 2) -> None:
    """Evaluates the champion on frozen test sets and on recent cases; trains nothing and decides nothing.

    Args:
        request: The encoded `EvaluationRequest`, as JSON.
        model: Name of the model for display; empty, or equal to the name in the request.
        workers: Processes that read files in parallel.
    """
    evaluate_scheduled(request=request, model=model, workers=workers).set_caching_options(False)
