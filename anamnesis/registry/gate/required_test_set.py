"""A test set that judges a candidate, and the evaluations on it."""

from collections.abc import Iterable
from dataclasses import dataclass

from anamnesis.records import Evaluation, EvaluationSet, Task

FORGETTING, SALIENCY = "forgetting", "saliency"


@dataclass(frozen=True, slots=True)
class RequiredTestSet:
    """A test set on which the candidate must have an evaluation.

    Attributes:
        site: the site of the test set.
        task: the task of the site.
        test_set: digest of the test set.
        is_new_site: whether the candidate's own update added the site; then its base cannot have learned the task.
        corrected_labels: number of its cases whose label in the source is not the frozen one any more.
    """

    site: str
    task: Task
    test_set: str
    is_new_site: bool
    corrected_labels: int = 0


def is_evaluation_of(evaluation: Evaluation, test: RequiredTestSet) -> bool:
    """Returns whether an evaluation is one of the gate's, on this frozen test set."""
    required_key = (test.site, test.task.name, test.test_set)
    return (
        evaluation.evaluation_set is EvaluationSet.FROZEN
        and (evaluation.site, evaluation.task, evaluation.test_set) == required_key
        and evaluation.name in (FORGETTING, SALIENCY)
    )


def evaluations_of(evaluations: Iterable[Evaluation], test: RequiredTestSet, name: str) -> list[Evaluation]:
    """Returns the evaluations on a test set by one kind of evaluator."""
    return [item for item in evaluations if item.name == name and is_evaluation_of(item, test)]


def evaluation_label(test: RequiredTestSet, name: str) -> str:
    """Returns an evaluation in words."""
    return f"{name} evaluation of {test.task.name} at {test.site}"
