"""Which changes are worth an event, and which of them call for a person."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.runtime.events import make_event_document, reportable_transitions


def condition(kind: str, status: Literal["True", "False", "Unknown"], reason: str = "R") -> Condition:
    return Condition(type=kind, status=status, reason=reason)


READY, WAITING = condition("Ready", "True"), condition("Progressing", "False")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((), (condition("Ready", "False"), WAITING), []),
        ((), (condition("Readable", "False"),), [("Warning", "Readable")]),
        ((READY,), (READY,), []),
        ((READY,), (condition("Ready", "False"),), [("Warning", "Ready")]),
        ((READY,), (condition("Ready", "True", "Other"),), [("Normal", "Ready")]),
        ((READY,), (READY, condition("Forgetting", "True")), [("Warning", "Forgetting")]),
        ((READY,), (READY, condition("AwaitingApproval", "True")), [("Normal", "AwaitingApproval")]),
    ],
)
def test_transitions_are_events_and_a_first_condition_is_none(
    before: tuple[Condition, ...], after: tuple[Condition, ...], expected: list[tuple[str, str]]
) -> None:
    assert [(weight, transition.type) for weight, transition in reportable_transitions(before, after)] == expected


def test_what_is_too_long_is_cut() -> None:
    metadata = Metadata(name="chest", namespace="wards", uid="u")
    resource = Resource(apiVersion="anamnesis.dev/v1alpha1", metadata=metadata)
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    event = make_event_document(resource, "Normal", "Idle", "a" * 2000, "b" * 200, now)
    assert (len(event["note"]), len(event["reportingInstance"])) == (1024, 128)
    assert event["eventTime"] == "2026-05-01T12:00:00.000000Z"
