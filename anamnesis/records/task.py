"""What is asked of the model on a site."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from anamnesis.records.errors import InputError


class TaskType(StrEnum):
    """The kinds of question."""

    CLASSIFICATION = "Classification"
    SEGMENTATION = "Segmentation"
    PROGNOSIS = "Prognosis"
    PRETRAINING = "Pretraining"


@dataclass(frozen=True, slots=True)
class Task:
    """A named question with its answers. Two sites with equal tasks share one head: domain-incremental learning.

    Attributes:
        name: unique within a model, for example ``pneumonia``.
        type: what kind of answer is wanted.
        classes: the answers' names, in the order of the stored class indices; empty for prognosis and pre-training.
        primary_metric: the one that the gate judges: ``AUROC``, ``Accuracy``, ``BalancedAccuracy``, ``Dice``, ...
    """

    name: str
    type: TaskType
    classes: tuple[str, ...]
    primary_metric: str = "AUROC"

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise InputError(f"task {self.name!r}: a class is named twice in {list(self.classes)}")
        if self.type is TaskType.CLASSIFICATION and len(self.classes) < 2:
            raise InputError(f"task {self.name!r}: classification needs two classes or more, found {len(self.classes)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the model's common label space: ``task/class``."""
        return tuple(f"{self.name}/{name}" for name in self.classes)


def label_space(tasks: Iterable[Task]) -> tuple[str, ...]:
    """Returns the columns of the model's logits: every task's labels in order of arrival, equal ones once."""
    return tuple(dict.fromkeys(label for task in tasks for label in task.labels))


def find_class_indices(task: Task, labels: Sequence[str]) -> tuple[int, ...]:
    """Returns which columns of ``labels`` belong to ``task``, in the order of its classes.

    Raises:
        InputError: the model does not know one of the task's classes.
    """
    index_of_label = {label: class_index for class_index, label in enumerate(labels)}
    if missing_labels := [label for label in task.labels if label not in index_of_label]:
        raise InputError(f"task {task.name!r}: the model does not know {missing_labels[0]!r}; it knows {list(labels)}")
    return tuple(index_of_label[label] for label in task.labels)
