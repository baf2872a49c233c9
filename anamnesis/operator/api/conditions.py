"""Conditions: what is the case with a resource, in stable words for programs and a sentence for people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from anamnesis.operator.api.api_model import Told
from anamnesis.operator.api.string_types import Reason, Sentence
from anamnesis.operator.api.value_types import Timestamp

_LONGEST = 1000
"""Letters; with what says that a message was cut, the field holds 1024."""


class Condition(Told):
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


def condition(kind: str, status: bool | None, reason: str, message: str = "") -> Condition:
    """Returns a condition without its times; the status none is Unknown, and a message too long is cut."""
    text = {True: "True", False: "False", None: "Unknown"}[status]
    return Condition.model_validate({"type": kind, "status": text, "reason": reason, "message": cut(message)})


def cut(message: str) -> str:
    """Returns a message that its field can hold."""
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"


def merge(
    before: Iterable[Condition], wanted: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Returns the wanted conditions with their times: that of before where the status is the same.

    Args:
        before: what the resource bears.
        wanted: what it shall bear.
        generation: of the resource's spec that was looked at.
        now: the time, UTC.
    """
    old = {one.type: one for one in before}
    merged = []
    for one in wanted:
        was = old.get(one.type)
        same = was is not None and was.status == one.status and was.last_transition_time is not None
        time = was.last_transition_time if was is not None and same else now.replace(microsecond=0)
        changes = {"last_transition_time": time, "observed_generation": generation}
        merged.append(one.model_copy(update=changes))
    return tuple(merged)


def transitions(before: Iterable[Condition], after: Iterable[Condition]) -> tuple[Condition, ...]:
    """Returns the conditions whose status or reason changed: each is worth one event."""
    old = {one.type: (one.status, one.reason) for one in before}
    return tuple(one for one in after if old.get(one.type) != (one.status, one.reason))
