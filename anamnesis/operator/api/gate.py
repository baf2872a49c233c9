"""The gate that a candidate must pass to become the champion, and the change-control plan."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.method import KnownMethod
from anamnesis.operator.api.string_types import SALIENCY_FLOOR_PATTERN, MethodName, PathSafeName
from anamnesis.operator.api.value_types import NonNegativeDecimal, Share, UniqueItems, UniqueNames, parse_decimal
from anamnesis.records import MINIMUM_TEST_PATIENTS
from anamnesis.registry.gate import SaliencyLimit

_TASK_LIMITS = (
    "floor",
    "ceiling",
    "margin",
    "recallFloor",
    "recallMargin",
    "saliencyFloor",
    "siteInferred",
    "calibrationError",
)
_NO_LIMIT_MESSAGE = f"the entry sets no limit; add one of {', '.join(_TASK_LIMITS)}, or remove the entry"


def _parse_saliency_floor(value: object) -> Decimal | SaliencyLimit:
    if value in (SaliencyLimit.SAME_CLASS, SaliencyLimit.SAME_CLASS.value):
        return SaliencyLimit.SAME_CLASS
    floor = value if isinstance(value, Decimal) else parse_decimal(value)
    if not 0 <= floor <= 1:
        raise ValueError(f"expected SameClass, or a decimal from 0 to 1, found {floor}")
    return floor


SaliencyFloor = Annotated[
    Decimal | SaliencyLimit,
    BeforeValidator(_parse_saliency_floor),
    WithJsonSchema(
        {"type": "string", "maxLength": 32, "pattern": SALIENCY_FLOOR_PATTERN}
        | cel_rules(
            (
                "self == 'SameClass' || (double(self) >= 0.0 && double(self) <= 1.0)",
                "expected SameClass, or a decimal from 0 to 1",
            )
        )
    ),
]


class TaskGate(ApiModel):
    """Limits of one task that differ from the model's."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules((" || ".join(f"has(self.{name})" for name in _TASK_LIMITS), _NO_LIMIT_MESSAGE))
    )
    name: PathSafeName
    """Name of the task, as in spec.task.name of its Site."""
    floor: Share | None = None
    """Floor of this task. If omitted, the model's floor."""
    ceiling: NonNegativeDecimal | None = None
    """Highest value that passes of a metric where lower is better, in its unit. If omitted, a person decides."""
    margin: NonNegativeDecimal | None = None
    """Margin of this task, in the unit of its metric. If omitted, the model's, or none for a metric with a unit."""
    recall_floor: Share | None = None
    """Recall floor of this task. If omitted, the model's recall floor."""
    recall_margin: Share | None = None
    """Recall margin of this task. If omitted, the model's recall margin."""
    saliency_floor: SaliencyFloor | None = None
    """Saliency floor of this task. If omitted, the model's saliency floor."""
    site_inferred: Share | None = None
    """Lowest share of this task's images that are answered with its classes. If omitted, the model's."""
    calibration_error: Share | None = None
    """Largest calibration error of this task. If omitted, the model's."""

    @model_validator(mode="after")
    def _check_limit_set(self) -> Self:
        if all(value is None for name, value in self if name != "name"):
            raise ValueError(_NO_LIMIT_MESSAGE)
        return self


_ADVISORY_MESSAGE = (
    "enforcement Advisory needs approval: Automatic, because an advisory gate waits for nobody; "
    "set approval: Automatic, or enforcement: Enforced"
)


class GateSpec(ApiModel):
    """The limits that a candidate must meet to become the champion."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.enforcement == 'Enforced' || self.approval == 'Automatic'", _ADVISORY_MESSAGE)
        )
    )
    floor: Share
    """Lowest value of each task's primary metric on its frozen test set that passes, a decimal in quotes.

    A metric where lower is better has a ceiling instead, in spec.gate.tasks.
    """
    margin: Share = Decimal("0.03")
    """Largest loss of the primary metric and of AUROC on an earlier task, a decimal in quotes.

    A metric with a unit, such as a distance, has a margin of its own in spec.gate.tasks.
    The candidate is compared with its base and with the first accepted version that learned the task, patient by
    patient.
    """
    recall_floor: Share | None = None
    """Lowest recall of each class at the stored threshold, on every test set. If omitted, a person must approve."""
    recall_margin: Share = Decimal("0.05")
    """Largest drop of the recall of each class on an earlier task, compared like the margin."""
    saliency_floor: SaliencyFloor | None = None
    """Lowest agreement (IoU) of the saliency maps with those of the base version. If omitted, it is not judged.

    A decimal, or SameClass: what the map of another image of the same class reaches in 95 of 100 cases at that site.
    """
    site_inferred: Share = Decimal("0.95")
    """Lowest share of test images that are answered with their own site's classes where the site is not given."""
    calibration_error: Share = Decimal("0.05")
    """Largest expected calibration error on a test set of 100 patients or more."""
    minimum_test_patients: Annotated[int, Field(ge=0, le=100_000, strict=True)] = MINIMUM_TEST_PATIENTS
    """A task is judged where each class has so many test patients; else the candidate stays undecided. 0: always.

    Numbers of patients below 10 are not published, so a minimum below 10 is always met.
    """
    approval: Literal["Required", "Automatic"] = "Required"
    """Required: a candidate becomes the champion only after an UpdateApproval. Automatic: at once where all passed.

    A candidate with an undecided criterion needs an UpdateApproval in both cases.
    """
    enforcement: Literal["Enforced", "Advisory"] = "Enforced"
    """Enforced: a candidate that fails is rejected. Advisory: the verdict is only recorded; for research."""
    tasks: Annotated[tuple[TaskGate, ...], Field(max_length=64), UniqueNames] = ()
    """Tasks whose limits differ. If empty, the limits above hold for every task."""

    @model_validator(mode="after")
    def _check_advisory_needs_no_approval(self) -> Self:
        if self.enforcement == "Advisory" and self.approval != "Automatic":
            raise ValueError(_ADVISORY_MESSAGE)
        return self


class AnswersSpec(ApiModel):
    """How the model answers."""

    site_required: Annotated[bool, Field(strict=True)] = False
    """True: the model answers only where the site of an image is given; the gate then sets no siteInferred."""


class ChangePlanSpec(ApiModel):
    """The predetermined change-control plan: what may change without a new clearance."""

    allowed_methods: Annotated[tuple[Annotated[MethodName, KnownMethod], ...], Field(max_length=32), UniqueItems] = ()
    """Methods that updates may use. The operator starts no update with another method. If empty, every method."""
    stored_images: Literal["Forbidden", "Allowed"] = "Forbidden"
    """Allowed: versions may hold real images of patients, visible to everyone who can read the registry."""
    minimum_patients: Annotated[int, Field(ge=1, le=1000, strict=True)] = 20
    """A class is learned only where its patients differ from those of earlier versions by none, or by so many.

    Otherwise the difference between the sums in two versions would be about few patients, or one. Others are held back.
    """
