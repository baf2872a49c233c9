"""The accuracy matrix and the metrics of continual learning.

a[t,i] is the score on task i's frozen test set after update t, b[i] that of the random initialisation. The formulas
of the literature are for one update per task, 1..T. Where a hospital comes back, a task's own update is the first one
that learned it, and the old tasks (i < T) are the tasks learned before the last update. A cell without a measurement is
none, never zero: a mean uses the measured terms only, and is none without any.

Where lower is better for a task's metric, its best score is the lowest one, and every difference has the opposite sign:
forgetting above 0 and backward transfer below 0 always mean that the model got worse. Scores of tasks whose metrics
have different units or directions have no mean, and differences of different units have none either.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from anamnesis.records import InputError, MetricProperties, metric_properties
from anamnesis.records.metric_names import ACCURACY


@dataclass(frozen=True, slots=True)
class AccuracyMatrix:
    """Scores of every update on every task.

    Attributes:
        update_tasks: the task of each update, in order: ``("A", "B", "A", "C")``.
        scores: scores[t][i] after update t on task ``tasks[i]``; none where not measured.
        baseline_scores: b, the score of the random initialisation by task, where measured.
        counted_tasks: the tasks that means are over; all where it is none.
        metrics: the metric of each task; ``Accuracy`` where it is not given.
    """

    update_tasks: tuple[str, ...]
    scores: tuple[tuple[float | None, ...], ...]
    baseline_scores: Mapping[str, float] = field(default_factory=dict)
    counted_tasks: tuple[str, ...] | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.update_tasks), len(self.tasks))
        if not self.update_tasks or len(self.scores) != shape[0] or any(len(row) != shape[1] for row in self.scores):
            sizes = [len(row) for row in self.scores]
            raise InputError(
                f"accuracy matrix: expected {shape[0]} rows of {shape[1]} scores, found rows of {sizes}: this is a "
                "fault of the program; report it with the log"
            )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of the columns, in the order of their first updates."""
        return tuple(dict.fromkeys(self.update_tasks))

    @property
    def counted(self) -> tuple[str, ...]:
        """The tasks that means are over, in the order of their first updates."""
        return self._only_counted(self.tasks)

    @property
    def old_tasks(self) -> tuple[str, ...]:
        """Counted tasks that were learned before the last update."""
        return self._only_counted(dict.fromkeys(self.update_tasks[:-1]))

    def _only_counted(self, tasks: Iterable[str]) -> tuple[str, ...]:
        return tuple(task for task in tasks if self.counted_tasks is None or task in self.counted_tasks)

    def metric(self, task: str) -> MetricProperties:
        """Returns unit and direction of a task's scores."""
        return metric_properties(self.metrics.get(task, ACCURACY))

    @property
    def has_one_unit(self) -> bool:
        """Whether differences of scores of the counted tasks have a mean."""
        return len({self.metric(task).unit for task in self.counted}) <= 1

    @property
    def has_one_scale(self) -> bool:
        """Whether scores of the counted tasks have a mean: one unit and one direction."""
        return self.has_one_unit and len({self.metric(task).is_lower_better for task in self.counted}) <= 1

    def gain(self, task: str, before: float | None, after: float | None) -> float | None:
        """Returns how much better ``after`` is than ``before`` for a task; none where one is not measured."""
        return None if before is None or after is None else -self.metric(task).loss(before, after)

    def score(self, update: int, task: str) -> float | None:
        """Returns a[update, task]; updates count from 0."""
        return self.scores[update][self.tasks.index(task)]

    def final_score(self, task: str) -> float | None:
        """Returns a[T,i]."""
        return self.score(-1, task)

    def first_score(self, task: str) -> float | None:
        """Returns a[i,i]: the score right after the task's first update."""
        return self.score(self.update_tasks.index(task), task)

    def best_score(self, task: str, end_row: int | None = None) -> float | None:
        """Returns the best score from the task's first update up to row ``end_row``, that row excluded."""
        rows = range(self.update_tasks.index(task), len(self.update_tasks) if end_row is None else end_row)
        return self.metric(task).best(score for t in rows if (score := self.score(t, task)) is not None)


def final_average(matrix: AccuracyMatrix) -> float | None:
    """Returns (1/T) sum_i a[T,i]. Source: Lopez-Paz and Ranzato, NeurIPS 2017, "ACC"."""
    return _mean((matrix.final_score(task) for task in matrix.counted), matrix.has_one_scale)


def average_incremental(matrix: AccuracyMatrix) -> float | None:
    """Returns (1/T) sum_t (1/t) sum_{i<=t} a[t,i]. Source: Rebuffi et al. (iCaRL), CVPR 2017."""
    tasks_so_far = (dict.fromkeys(matrix.update_tasks[: t + 1]) for t in range(len(matrix.update_tasks)))
    means = (
        _mean(matrix.score(t, task) for task in tasks if task in matrix.counted) for t, tasks in enumerate(tasks_so_far)
    )
    return _mean(means, matrix.has_one_scale)


def learning_accuracy(matrix: AccuracyMatrix) -> float | None:
    """Returns (1/T) sum_i a[i,i]. Source: Riemer et al. (MER), ICLR 2019."""
    return _mean((matrix.first_score(task) for task in matrix.counted), matrix.has_one_scale)


def backward_transfer(matrix: AccuracyMatrix) -> float | None:
    """Returns (1/(T-1)) sum_{i<T} (a[T,i] - a[i,i]). Source: Lopez-Paz and Ranzato, NeurIPS 2017."""
    gains = (matrix.gain(task, matrix.first_score(task), matrix.final_score(task)) for task in matrix.old_tasks)
    return _mean(gains, matrix.has_one_unit)


def forward_transfer(matrix: AccuracyMatrix) -> float | None:
    """Returns (1/(T-1)) sum_{i>1} (a[i-1,i] - b[i]). Source: Lopez-Paz and Ranzato, NeurIPS 2017.

    It needs the score on a task before its first update, and the score of the random initialisation.
    """
    first_updates = {task: matrix.update_tasks.index(task) for task in matrix.tasks[1:] if task in matrix.counted}
    gains = (
        matrix.gain(task, matrix.baseline_scores.get(task), matrix.score(t - 1, task))
        for task, t in first_updates.items()
    )
    return _mean(gains, matrix.has_one_unit)


def forgetting_by_task(matrix: AccuracyMatrix) -> dict[str, float]:
    """Returns max_{i<=l<T} a[l,i] - a[T,i] of each measured old task; negative where the task still improved."""
    last = len(matrix.update_tasks) - 1
    losses = {
        task: matrix.gain(task, matrix.final_score(task), matrix.best_score(task, last)) for task in matrix.old_tasks
    }
    return {task: loss for task, loss in losses.items() if loss is not None}


def forgetting(matrix: AccuracyMatrix) -> float | None:
    """Returns (1/(T-1)) sum_{i<T} (max_{i<=l<T} a[l,i] - a[T,i]). Source: Chaudhry et al. (RWalk), ECCV 2018."""
    return _mean(forgetting_by_task(matrix).values(), matrix.has_one_unit)


def saliency_forgetting(iou: AccuracyMatrix) -> float | None:
    """Returns (1/(T-1)) sum_{i<T} (1 - iou[T,i]): how far the saliency maps of the old tasks have moved.

    Args:
        iou: iou[t,i] compares the maps after update t with the maps right after task i's own update.
    """
    return _mean(None if (score := iou.final_score(task)) is None else 1 - score for task in iou.old_tasks)


def intransigence(matrix: AccuracyMatrix, joint: AccuracyMatrix) -> float | None:
    """Returns (1/T) sum_i (a*[i,i] - a[i,i]), where a* trains on all tasks so far together.

    Source: Chaudhry et al. (RWalk), ECCV 2018.

    Raises:
        InputError: the matrices differ in their sequence of tasks.
    """
    if joint.update_tasks != matrix.update_tasks:
        raise InputError(
            f"intransigence: joint training learned the tasks {list(joint.update_tasks)}, the method "
            f"{list(matrix.update_tasks)}; run both with the same sequence of tasks"
        )
    gains = (matrix.gain(task, matrix.first_score(task), joint.first_score(task)) for task in matrix.counted)
    return _mean(gains, matrix.has_one_unit)


def worst_retention(matrix: AccuracyMatrix) -> float | None:
    """Returns min_{i<T} a[T,i] / max_l a[l,i]: the lowest share of its best score that an old task still has.

    Where lower is better it is the best score divided by the current one.
    """
    pairs = (
        (matrix.best_score(task), matrix.final_score(task))
        if matrix.metric(task).is_lower_better
        else (matrix.final_score(task), matrix.best_score(task))
        for task in matrix.old_tasks
    )
    return min((part / whole for part, whole in pairs if part is not None and whole), default=None)


def continual_metrics(matrix: AccuracyMatrix, joint: AccuracyMatrix | None = None) -> dict[str, float]:
    """Returns every defined metric of this module by name, rounded to six places."""
    values = {
        "FinalAverage": final_average(matrix),
        "AverageIncremental": average_incremental(matrix),
        "LearningAccuracy": learning_accuracy(matrix),
        "BackwardTransfer": backward_transfer(matrix),
        "ForwardTransfer": forward_transfer(matrix),
        "Forgetting": forgetting(matrix),
        "Intransigence": None if joint is None else intransigence(matrix, joint),
        "WorstRetention": worst_retention(matrix),
    }
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def _mean(terms: Iterable[float | None], is_comparable: bool = True) -> float | None:
    measured = [term for term in terms if term is not None]
    return sum(measured) / len(measured) if measured and is_comparable else None
