"""The task of a model on a site."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anamnesis.records.errors import InputError
from anamnesis.records.metrics import MetricProperties, metric_properties, primary_metrics
from anamnesis.records.task_type import TaskType


@dataclass(frozen=True, slots=True)
class Task:
    """A named task with its classes. Two sites with equal tasks share one head: domain-incremental learning.

    Attributes:
        name: unique within a model, for example ``pneumonia``.
        type: type of the task.
        classes: names of the classes, in the order of the stored class indices; empty for prognosis and pre-training.
        primary_metric: the metric that the gate uses, one of the registry (``metrics.py``) for this type; empty takes
            the first of them.
    """

    name: str
    type: TaskType
    classes: tuple[str, ...]
    primary_metric: str = ""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise InputError(f"task {self.name!r}: classes: a name occurs twice in {list(self.classes)}; remove one")
        if self.type is TaskType.CLASSIFICATION and len(self.classes) < 2:
            raise InputError(f"task {self.name!r}: classes: expected two or more, found {len(self.classes)}")
        metrics = primary_metrics(self.type)
        if not self.primary_metric:
            object.__setattr__(self, "primary_metric", metrics[0])
        if self.primary_metric not in metrics:
            raise InputError(
                f"task {self.name!r}: primaryMetric: expected one of {', '.join(metrics)} for a task of type "
                f"{self.type.value}, found {self.primary_metric!r}; correct primaryMetric"
            )

    @property
    def metric(self) -> MetricProperties:
        """Unit, range and direction of the primary metric."""
        return metric_properties(self.primary_metric)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the model's common label space: ``task/class``."""
        return tuple(f"{self.name}/{name}" for name in self.classes)


def label_space(tasks: Iterable[Task]) -> tuple[str, ...]:
    """Returns the columns of the model's logits: the labels of all tasks in the order of their arrival, each once."""
    return tuple(dict.fromkeys(label for task in tasks for label in task.labels))


def find_class_indices(task: Task, labels: Sequence[str]) -> tuple[int, ...]:
    """Returns the columns of ``labels`` that belong to ``task``, in the order of its classes.

    Raises:
        InputError: ``labels`` lacks a class of the task.
    """
    index_of_label = {label: class_index for class_index, label in enumerate(labels)}
    if missing_labels := [label for label in task.labels if label not in index_of_label]:
        raise InputError(
            f"task {task.name!r}: classes: the model has no class {missing_labels[0]!r}; "
            f"use the classes of the model: {list(labels)}"
        )
    return tuple(index_of_label[label] for label in task.labels)
