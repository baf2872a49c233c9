"""Conditions: what is the case with a resource, in stable words for programs and a sentence for people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from anamnesis.operator.api.base import Model, Timestamp

Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$", max_length=64)]
Sentence = Annotated[str, StringConstraints(max_length=1024)]


class Condition(Model):
    """One condition, as Kubernetes has them.

    ``plan`` leaves the times out; ``merge`` puts them in.
    """

    type: Reason
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Sentence = ""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    last_transition_time: Timestamp | None = None


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
    old = {condition.type: condition for condition in before}
    merged = []
    for condition in wanted:
        was = old.get(condition.type)
        same = was is not None and was.status == condition.status and was.last_transition_time is not None
        time = was.last_transition_time if was is not None and same else now.replace(microsecond=0)
        changes = {"last_transition_time": time, "observed_generation": generation}
        merged.append(condition.model_copy(update=changes))
    return tuple(merged)


def transitions(before: Iterable[Condition], after: Iterable[Condition]) -> tuple[Condition, ...]:
    """Returns the conditions whose status or reason changed: each is worth one event."""
    old = {condition.type: (condition.status, condition.reason) for condition in before}
    return tuple(c for c in after if old.get(c.type) != (c.status, c.reason))
