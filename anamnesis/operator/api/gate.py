"""The gate that a candidate must pass to become the champion, and the change-control plan."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.method import KnownMethod
from anamnesis.operator.api.string_types import MethodName, PathSafeName
from anamnesis.operator.api.value_types import Share, UniqueItems, UniqueNames
from anamnesis.records import MINIMUM_TEST_PATIENTS

_NO_LIMIT_MESSAGE = "the entry sets no limit; add floor, margin or saliencyFloor, or remove the entry"


class TaskGate(ApiModel):
    """Limits of one task that differ from the model's."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("has(self.floor) || has(self.margin) || has(self.saliencyFloor)", _NO_LIMIT_MESSAGE)
        )
    )
    name: PathSafeName
    """Name of the task, as in spec.task.name of its Site."""
    floor: Share | None = None
    """Floor of this task. If omitted, the model's floor."""
    margin: Share | None = None
    """Margin of this task. If omitted, the model's margin."""
    saliency_floor: Share | None = None
    """Saliency floor of this task. If omitted, the model's saliency floor."""

    @model_validator(mode="after")
    def _check_limit_set(self) -> Self:
        if self.floor is None and self.margin is None and self.saliency_floor is None:
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
    """Lowest value of each task's primary metric on its frozen test set that passes, a decimal in quotes."""
    margin: Share
    """How far the score of an earlier task may fall below its best score ever, a decimal in quotes."""
    saliency_floor: Share | None = None
    """Lowest agreement (IoU) of the saliency maps with those of the base version. If omitted, it is not judged."""
    minimum_test_patients: Annotated[int, Field(ge=0, le=100_000, strict=True)] = MINIMUM_TEST_PATIENTS
    """A task is judged where each class has so many test patients; else the candidate stays undecided. 0: always.

    Numbers of patients below 10 are not published, so a minimum below 10 is always met.
    """
    approval: Literal["Required", "Automatic"] = "Required"
    """Required: a candidate that passed becomes the champion only after an UpdateApproval. Automatic: at once."""
    enforcement: Literal["Enforced", "Advisory"] = "Enforced"
    """Enforced: a candidate that fails is rejected. Advisory: the verdict is only recorded; for research."""
    tasks: Annotated[tuple[TaskGate, ...], Field(max_length=64), UniqueNames] = ()
    """Tasks whose limits differ. If empty, the limits above hold for every task."""

    @model_validator(mode="after")
    def _check_advisory_needs_no_approval(self) -> Self:
        if self.enforcement == "Advisory" and self.approval != "Automatic":
            raise ValueError(_ADVISORY_MESSAGE)
        return self


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
