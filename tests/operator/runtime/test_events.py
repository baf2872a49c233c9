"""Which changes become events, and which of them are warnings."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from anamnesis.operator.api import condition_types
from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.runtime.events import EventSubject, make_event_document, reportable_transitions


def condition(condition_type: str, status: Literal["True", "False", "Unknown"], reason: str = "R") -> Condition:
    return Condition(type=condition_type, status=status, reason=reason)


READY, WAITING = condition(condition_types.READY, "True"), condition(condition_types.PROGRESSING, "False")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((), (condition(condition_types.READY, "False"), WAITING), []),
        ((), (condition(condition_types.READABLE, "False"),), [("Warning", condition_types.READABLE)]),
        ((READY,), (READY,), []),
        ((READY,), (condition(condition_types.READY, "False"),), [("Warning", condition_types.READY)]),
        ((READY,), (condition(condition_types.READY, "True", "Other"),), [("Normal", condition_types.READY)]),
        ((READY,), (READY, condition(condition_types.FORGETTING, "True")), [("Warning", condition_types.FORGETTING)]),
        (
            (READY,),
            (READY, condition(condition_types.AWAITING_APPROVAL, "True")),
            [("Normal", condition_types.AWAITING_APPROVAL)],
        ),
    ],
)
def test_transitions_are_events_and_a_first_condition_is_none(
    before: tuple[Condition, ...], after: tuple[Condition, ...], expected: list[tuple[str, str]]
) -> None:
    assert [
        (event_type, transition.type) for event_type, transition in reportable_transitions(before, after)
    ] == expected


def test_a_long_message_and_identity_are_cut() -> None:
    metadata = Metadata(name="chest", namespace="wards", uid="u")
    resource = Resource(apiVersion="anamnesis.dev/v1alpha1", metadata=metadata)
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    event = make_event_document(
        EventSubject.of_resource(resource),
        event_type="Normal",
        reason="Idle",
        message="a" * 2000,
        identity="b" * 200,
        now=now,
    )
    assert (len(event["note"]), len(event["reportingInstance"])) == (1024, 128)
    assert event["eventTime"] == "2026-05-01T12:00:00.000000Z"
