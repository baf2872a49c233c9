"""What a candidate must reach to become the champion, and what may change at all."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from anamnesis.operator.api.api_model import ApiModel
from anamnesis.operator.api.cel import cel_rules
from anamnesis.operator.api.string_types import MethodName, PathSafeName
from anamnesis.operator.api.value_types import Share, UniqueItems, UniqueNames


class TaskGate(ApiModel):
    """Limits of one task where they differ from the model's."""

    name: PathSafeName
    """The task, as its Site names it."""
    floor: Share | None = None
    """Replaces the model's floor for this task."""
    margin: Share | None = None
    """Replaces the model's margin for this task."""
    saliency_floor: Share | None = None
    """Replaces the model's saliency floor for this task."""


_ADVISORY_MESSAGE = "an Advisory gate waits for nobody: it goes with approval: Automatic only"


class GateSpec(ApiModel):
    """What a candidate must reach to become the champion."""

    model_config = ConfigDict(
        json_schema_extra=cel_rules(
            ("self.enforcement == 'Enforced' || self.approval == 'Automatic'", _ADVISORY_MESSAGE)
        )
    )
    floor: Share
    """The least value of each task's primary metric on its frozen test set, a decimal in quotes."""
    margin: Share
    """How far a task learned earlier may fall below the best it ever had, a decimal in quotes."""
    saliency_floor: Share | None = None
    """The least agreement of the saliency maps with those of the version before; left out, it is not judged."""
    approval: Literal["Required", "Automatic"] = "Required"
    """Whether a person approves (an UpdateApproval) what passed, before it becomes the champion."""
    enforcement: Literal["Enforced", "Advisory"] = "Enforced"
    """Advisory writes the verdict down and does not bind; for research."""
    tasks: Annotated[tuple[TaskGate, ...], Field(max_length=64), UniqueNames] = ()
    """Tasks whose limits differ."""

    @model_validator(mode="after")
    def _check_advisory_needs_no_approval(self) -> Self:
        if self.enforcement == "Advisory" and self.approval != "Automatic":
            raise ValueError(_ADVISORY_MESSAGE)
        return self


class ChangePlanSpec(ApiModel):
    """What may change without a new clearance: the predetermined change-control plan."""

    allowed_methods: Annotated[tuple[MethodName, ...], Field(max_length=32), UniqueItems] = ()
    """Methods that updates may use; an update with another one is not started. Empty allows any."""
    stored_images: Literal["Forbidden", "Allowed"] = "Forbidden"
    """Whether versions may hold real images of patients, which everyone who reads the registry can then see."""
