"""Conditions: what is the case with a resource, in stable words for programs and a sentence for people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.string_types import Reason, Sentence
from anamnesis.operator.api.value_types import Timestamp

_MESSAGE_LIMIT = 1000
"""Letters; with what says that a message was cut, the field holds 1024."""


class Condition(StatusModel):
    """One condition, as Kubernetes has them."""

    type: Reason
    """What it is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Reason
    """Why, in one stable word for programs."""
    message: Sentence = ""
    """Why, in a sentence for people."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that was looked at."""
    last_transition_time: Timestamp | None = None
    """Since when its status is what it is."""


def make_condition(condition_type: str, status: bool | None, reason: str, message: str = "") -> Condition:
    """Returns a condition without its times; the status none is Unknown, and a message too long is cut."""
    status_text = {True: "True", False: "False", None: "Unknown"}[status]
    return Condition.model_validate(
        {"type": condition_type, "status": status_text, "reason": reason, "message": truncate_message(message)}
    )


def truncate_message(message: str) -> str:
    """Returns a message that its field can hold."""
    return message if len(message) <= _MESSAGE_LIMIT else f"{message[:_MESSAGE_LIMIT]}…"


def merge_conditions(
    current_conditions: Iterable[Condition], desired_conditions: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Returns the wanted conditions with their times: that of before where the status is the same.

    Args:
        current_conditions: what the resource bears.
        desired_conditions: what it shall bear.
        generation: of the resource's spec that was looked at.
        now: the time, UTC.
    """
    current_by_type = {condition.type: condition for condition in current_conditions}
    merged = []
    for condition in desired_conditions:
        previous_condition = current_by_type.get(condition.type)
        is_same_status = (
            previous_condition is not None
            and previous_condition.status == condition.status
            and previous_condition.last_transition_time is not None
        )
        transition_time = (
            previous_condition.last_transition_time
            if previous_condition is not None and is_same_status
            else now.replace(microsecond=0)
        )
        changes = {"last_transition_time": transition_time, "observed_generation": generation}
        merged.append(condition.model_copy(update=changes))
    return tuple(merged)


def changed_conditions(
    old_conditions: Iterable[Condition], new_conditions: Iterable[Condition]
) -> tuple[Condition, ...]:
    """Returns the conditions whose status or reason changed: each is worth one event."""
    old_states = {condition.type: (condition.status, condition.reason) for condition in old_conditions}
    return tuple(
        condition
        for condition in new_conditions
        if old_states.get(condition.type) != (condition.status, condition.reason)
    )
