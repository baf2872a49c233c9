"""The registry of metrics: the type of task, unit, range and direction of every score. A new metric is a row here.

All comparisons of scores use it: the gate, evaluations, reports, statuses, dashboards, and the checks of resources.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from anamnesis.records.errors import InputError
from anamnesis.records.metric_names import (
    ABSTAINED,
    ACCURACY,
    AUROC,
    BALANCED_ACCURACY,
    C_INDEX,
    CALIBRATION_ERROR,
    CALIBRATION_SLOPE,
    CLASS_INCREMENTAL_ACCURACY,
    COSINE,
    DELETION,
    DELETION_ADVANTAGE,
    DELETION_RANDOM,
    DICE,
    INTEGRATED_BRIER_SCORE,
    IOU,
    IOU_RANDOM,
    IOU_SAME_CLASS,
    IOU_SAME_CLASS_95,
    LEARNED_SHARE,
    PRECISION,
    PROBE_ACCURACY,
    RECALL,
    SITE_INFERRED,
    SPEARMAN,
    SSIM,
    SURFACE_DISTANCE,
)
from anamnesis.records.task_type import TaskType

Number = TypeVar("Number", Decimal, float)


@dataclass(frozen=True, slots=True)
class MetricProperties:
    """What the values of a metric mean.

    Attributes:
        name: as evaluations store it; a metric of each class has the name before the slash: ``Recall/<class>``.
        task_type: the type of task that has it; none for metrics of saliency maps.
        is_lower_better: whether a lower value is better.
        is_share: whether it is a share of cases or of pairs, with a score interval; else it is a mean, with an interval
            of equal distances.
        is_primary: whether a task may name it as its primary metric.
        unit: of its values, limits and margins; empty for numbers without a unit. ``input pixels`` are those of the
            network's input, after the image was resized to it: no millimetres.
        lowest: smallest possible value.
        highest: largest possible value.
    """

    name: str
    task_type: TaskType | None
    is_lower_better: bool = False
    is_share: bool = False
    is_primary: bool = False
    unit: str = ""
    lowest: Decimal = Decimal(0)
    highest: Decimal = Decimal(1)

    @property
    def width(self) -> Decimal:
        """The largest possible difference of two values."""
        return self.highest - self.lowest

    @property
    def worst_value(self) -> Decimal:
        """The worst possible value: a limit there judges nothing."""
        return self.highest if self.is_lower_better else self.lowest

    def loss(self, before: Number, after: Number) -> Number:
        """Returns how much worse ``after`` is than ``before``, in the metric's unit; below 0 where it is better."""
        return after - before if self.is_lower_better else before - after

    def best(self, values: Iterable[Number]) -> Number | None:
        """Returns the best value, or none without any."""
        return min(values, default=None) if self.is_lower_better else max(values, default=None)

    def worst(self, values: Iterable[Number]) -> Number | None:
        """Returns the worst value, or none without any."""
        return max(values, default=None) if self.is_lower_better else min(values, default=None)

    def is_worse(self, value: Decimal, limit: Decimal) -> bool:
        """Returns whether a value is beyond a limit: below a floor, or above a ceiling."""
        return self.loss(limit, value) > 0

    def grade(self, value: float) -> float:
        """Returns a value as a share of the range: 0 for the worst possible value, 1 for the best."""
        return abs(value - float(self.worst_value)) / float(self.width)


_CLASSIFICATION, _SEGMENTATION = TaskType.CLASSIFICATION, TaskType.SEGMENTATION

METRICS = {
    metric.name: metric
    for metric in (
        MetricProperties(AUROC, _CLASSIFICATION, is_share=True, is_primary=True),
        MetricProperties(ACCURACY, _CLASSIFICATION, is_share=True, is_primary=True),
        MetricProperties(BALANCED_ACCURACY, _CLASSIFICATION, is_share=True, is_primary=True),
        MetricProperties(CLASS_INCREMENTAL_ACCURACY, _CLASSIFICATION, is_share=True),
        MetricProperties(SITE_INFERRED, _CLASSIFICATION, is_share=True),
        MetricProperties(ABSTAINED, _CLASSIFICATION, is_share=True, is_lower_better=True),
        MetricProperties(RECALL, _CLASSIFICATION, is_share=True),
        MetricProperties(PRECISION, _CLASSIFICATION, is_share=True),
        MetricProperties(CALIBRATION_ERROR, _CLASSIFICATION, is_lower_better=True),
        MetricProperties(CALIBRATION_SLOPE, _CLASSIFICATION, highest=Decimal(32)),
        MetricProperties(DICE, _SEGMENTATION, is_primary=True),
        MetricProperties(
            SURFACE_DISTANCE,
            _SEGMENTATION,
            is_primary=True,
            is_lower_better=True,
            unit="input pixels",
            highest=Decimal(100),
        ),
        MetricProperties(C_INDEX, TaskType.PROGNOSIS, is_primary=True),
        MetricProperties(INTEGRATED_BRIER_SCORE, TaskType.PROGNOSIS, is_primary=True, is_lower_better=True),
        MetricProperties(PROBE_ACCURACY, TaskType.PRETRAINING, is_share=True, is_primary=True),
        *(
            MetricProperties(name, None)
            for name in (IOU, IOU_RANDOM, IOU_SAME_CLASS, IOU_SAME_CLASS_95, SSIM, LEARNED_SHARE)
        ),
        *(MetricProperties(name, None, lowest=Decimal(-1)) for name in (COSINE, SPEARMAN, DELETION_ADVANTAGE)),
        *(MetricProperties(name, None, is_lower_better=True) for name in (DELETION, DELETION_RANDOM)),
    )
}
"""Name -> properties of every metric that an evaluation stores."""


def metric_properties(metric: str) -> MetricProperties:
    """Returns the properties of a metric.

    Args:
        metric: its name; of a metric of one class, such as ``Recall/<class>``, also the whole name.

    Raises:
        InputError: the registry has no such metric.
    """
    properties = METRICS.get(metric.partition("/")[0])
    if properties is None:
        raise InputError(f"metric: expected one of {', '.join(METRICS)}, found {metric!r}; correct the name")
    return properties


def primary_metrics(task_type: TaskType) -> tuple[str, ...]:
    """Returns the metrics that a task of a type may name as its primary metric."""
    return tuple(name for name, metric in METRICS.items() if metric.is_primary and metric.task_type is task_type)
