"""Conditions: the state of a resource, as stable words for programs and a sentence for people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from anamnesis.operator.api.api_model import StatusModel
from anamnesis.operator.api.string_types import Reason, Sentence
from anamnesis.operator.api.value_types import Timestamp

_MESSAGE_LIMIT = 1000
"""Characters; with the mark of a cut message the field holds at most 1024."""


class Condition(StatusModel):
    """A condition, as in other Kubernetes resources."""

    type: Reason
    """Type of the condition."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Reason
    """The cause, as one stable word for programs."""
    message: Sentence = ""
    """The cause, as a sentence for people."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this condition describes."""
    last_transition_time: Timestamp | None = None
    """When the status last changed."""


def make_condition(condition_type: str, status: bool | None, reason: str, message: str = "") -> Condition:
    """Returns a condition without times. Status none means Unknown; a message that is too long is cut."""
    status_text = {True: "True", False: "False", None: "Unknown"}[status]
    return Condition.model_validate(
        {"type": condition_type, "status": status_text, "reason": reason, "message": truncate_message(message)}
    )


def truncate_message(message: str) -> str:
    """Returns the message, cut to the length that its field can hold."""
    return message if len(message) <= _MESSAGE_LIMIT else f"{message[:_MESSAGE_LIMIT]}…"


def fill_in_names(message: str, namespace: str, model: str) -> str:
    """Returns a message whose commands have the names of a resource where the text has NAMESPACE and MODEL."""
    named = message.replace("-n NAMESPACE MODEL", f"-n {namespace} {model}") if model else message
    return named.replace("-n NAMESPACE", f"-n {namespace}") if namespace else named


def with_names(conditions: Iterable[Condition], namespace: str | None, model: str) -> tuple[Condition, ...]:
    """Returns conditions whose messages have commands that can be copied."""
    return tuple(
        condition.model_copy(
            update={"message": truncate_message(fill_in_names(condition.message, namespace or "", model))}
        )
        for condition in conditions
    )


def merge_conditions(
    current_conditions: Iterable[Condition], desired_conditions: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Returns the desired conditions with transition times; an unchanged status keeps its time.

    Args:
        current_conditions: those that the resource has now.
        desired_conditions: the conditions to set.
        generation: generation of the spec that the desired conditions describe.
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
    """Returns the conditions whose status or reason changed: the operator emits one event for each."""
    old_states = {condition.type: (condition.status, condition.reason) for condition in old_conditions}
    return tuple(
        condition
        for condition in new_conditions
        if old_states.get(condition.type) != (condition.status, condition.reason)
    )
