"""One evaluator for each type of task: what a version predicts, its scores, and the differences of two versions."""

from collections.abc import Mapping

from anamnesis.records import InputError, Task, TaskType
from anamnesis.updates.evaluators.base import TaskEvaluator
from anamnesis.updates.evaluators.classification import ClassificationEvaluator
from anamnesis.updates.evaluators.prognosis import PrognosisEvaluator
from anamnesis.updates.evaluators.segmentation import SegmentationEvaluator

__all__ = ["TaskEvaluator", "evaluator_of"]

_EVALUATORS: Mapping[TaskType, TaskEvaluator] = {
    TaskType.CLASSIFICATION: ClassificationEvaluator(),
    TaskType.SEGMENTATION: SegmentationEvaluator(),
    TaskType.PROGNOSIS: PrognosisEvaluator(),
}


def evaluator_of(task: Task) -> TaskEvaluator:
    """Returns the evaluator of a task's type.

    Raises:
        InputError: the type has no evaluator.
    """
    evaluator = _EVALUATORS.get(task.type)
    if evaluator is None:
        raise InputError(
            f"task {task.name!r}: type: expected one of {', '.join(_EVALUATORS)}, found {task.type.value}, which "
            "cannot be evaluated yet; create a Site with a supported spec.task.type"
        )
    return evaluator
