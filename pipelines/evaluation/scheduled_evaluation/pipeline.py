"""The pipeline of one scheduled evaluation."""

from kfp import dsl

from anamnesis.components.evaluation.evaluate_scheduled.component import evaluate_scheduled


@dsl.pipeline(name="scheduled-evaluation")  # type: ignore[untyped-decorator]
def scheduled_evaluation(request: str, model: str = "", workers: int = 2) -> None:
    """Judges the version in use on frozen test sets and on recent cases; trains nothing and decides nothing.

    Args:
        request: The encoded `EvaluationRequest`, as JSON.
        model: Name of the model, for people; when given it must be the request's.
        workers: Processes that read files side by side.
    """
    evaluate_scheduled(request=request, model=model, workers=workers).set_caching_options(False)
