"""The limits of the gate: those of all tasks, and those of single tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum

from anamnesis.records import MINIMUM_TEST_PATIENTS, Enforcement, InputError, Task


class ApprovalMode(StrEnum):
    """Whether a person must approve a candidate that passed the gate."""

    REQUIRED = "Required"
    AUTOMATIC = "Automatic"


class SaliencyLimit(StrEnum):
    """A limit of the saliency maps that is measured, not declared."""

    SAME_CLASS = "SameClass"
    """The 95th percentile of the overlap with the map of another image of the same class at the same site."""


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Limits of one task; the policy's limit applies where a limit is none.

    Attributes:
        floor: lowest passing value of the primary metric, where higher is better.
        margin: largest passing loss of the primary metric and of AUROC, on earlier tasks, in the metric's unit.
        saliency_floor: lowest passing IoU of the saliency maps, on earlier tasks; a decimal, or measured.
        recall_floor: lowest passing recall of each class at the stored threshold.
        recall_margin: largest passing drop of the recall of each class, on earlier tasks.
        site_inferred: lowest passing share of test images that are answered with their own site's classes.
        calibration_error: largest passing expected calibration error.
        ceiling: highest passing value of the primary metric, where lower is better, in the metric's unit.
    """

    floor: Decimal | None = None
    margin: Decimal | None = None
    saliency_floor: Decimal | SaliencyLimit | None = None
    recall_floor: Decimal | None = None
    recall_margin: Decimal | None = None
    site_inferred: Decimal | None = None
    calibration_error: Decimal | None = None
    ceiling: Decimal | None = None

    def __post_init__(self) -> None:
        for name in LIMIT_NAMES:
            limit = getattr(self, name)
            if isinstance(limit, Decimal) and not limit.is_finite():
                raise InputError(f"gate.{name}: expected a finite decimal, found {limit}")
        for name in ("margin", "recall_margin", "calibration_error"):
            limit = getattr(self, name)
            if limit is not None and limit < 0:
                raise InputError(f"gate.{name}: expected 0 or more, found {limit}")


LIMIT_NAMES = tuple(each.name for each in fields(TaskLimits))


@dataclass(frozen=True, slots=True)
class GatePolicy(TaskLimits):
    """The conditions under which a candidate becomes champion.

    Attributes:
        floor: lowest passing value of a primary metric, where higher is better; none sets no limit.
        margin: largest passing loss of a primary metric without a unit and of AUROC, on earlier tasks; none sets no
            limit.
        saliency_floor: lowest passing IoU of the saliency maps on earlier tasks, a decimal, or ``SameClass``: the
            overlap with the map of another image of the same class; none sets no limit.
        recall_floor: lowest passing recall of each class at the stored threshold; none: a person must approve.
        recall_margin: largest passing drop of the recall of each class, on earlier tasks; none sets no limit.
        site_inferred: lowest passing share of test images that are answered with their own site's classes without
            the site; none sets no limit.
        calibration_error: largest passing expected calibration error of a test set with enough patients; none sets no
            limit.
        ceiling: highest passing value of a primary metric, where lower is better; none: a person must approve where
            there is a floor.
        tasks: limits of single tasks, by the task's name; they replace the limits above.
        approval: whether a person must approve the candidate.
        enforcement: whether the verdict is binding.
        minimum_test_patients: a task with a limit is judged where each class has so many test patients.
        site_required: whether the model answers only where the site is known; ``site_inferred`` is not judged then.
    """

    tasks: Mapping[str, TaskLimits] = field(default_factory=dict)
    approval: ApprovalMode = ApprovalMode.REQUIRED
    enforcement: Enforcement = Enforcement.ENFORCED
    minimum_test_patients: int = MINIMUM_TEST_PATIENTS
    site_required: bool = False

    def limits_for(self, task: Task) -> TaskLimits:
        """Returns the limits of a task. A margin in the unit of a metric is that of the task alone."""
        task_limits = self.tasks.get(task.name, TaskLimits())
        limits = TaskLimits(
            **{
                name: getattr(self, name) if getattr(task_limits, name) is None else getattr(task_limits, name)
                for name in LIMIT_NAMES
            }
        )
        return replace(limits, margin=task_limits.margin) if task.metric.unit else limits
