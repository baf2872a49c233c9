"""Which changes become events, and which of them are warnings."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.plan.planned_status import ApprovalState, UpdateState
from anamnesis.operator.runtime.events import EventSubject, is_failing, make_event_document, reportable_transitions


def condition(condition_type: str, status: Literal["True", "False", "Unknown"], reason: str = "R") -> Condition:
    return Condition(type=condition_type, status=status, reason=reason)


READY, WAITING = condition(condition_types.READY, "True"), condition(condition_types.PROGRESSING, "False")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((), (condition(condition_types.READY, "False", reasons.NO_CHAMPION), WAITING), []),
        ((), (condition(condition_types.READY, "False"),), [("Warning", condition_types.READY)]),
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


@pytest.mark.parametrize("state", UpdateState)
def test_an_update_that_failed_is_a_warning_and_no_other(state: UpdateState) -> None:
    failed = {"Rejected", "SourceShrank", "RunFailed", "RunCancelled", "Retrying", "InvalidSpec", "BackendUnreachable"}
    failed |= {"StepNotStarted"}
    decided = condition(condition_types.DECIDED, "True" if state.is_final else "False", state.value)
    assert is_failing(decided) == (state.value in failed)


@pytest.mark.parametrize("state", ApprovalState)
def test_an_approval_that_was_refused_is_a_warning_and_no_other(state: ApprovalState) -> None:
    status: Literal["True", "False", "Unknown"] = "False" if state.is_refused else "True"
    recorded = condition(condition_types.RECORDED, "Unknown" if state.value == "Pending" else status, state.value)
    assert is_failing(recorded) == (state.is_refused and state.value != "RecordedBefore")


@pytest.mark.parametrize(
    ("change", "event_types"),
    [
        (condition(condition_types.RECONCILING, "True", reasons.NO_CHAMPION), []),
        (condition(condition_types.RECONCILING, "False", reasons.NOTHING_TO_DO), []),
        (condition(condition_types.RECONCILING, "True", reasons.STORE_UNREADABLE), ["Warning"]),
        (condition(condition_types.STALLED, "False", "AwaitingApproval"), []),
        (condition(condition_types.STALLED, "False", reasons.NOTHING_TO_DO), ["Normal"]),
        (condition(condition_types.STALLED, "True", reasons.EVALUATION_FAILED), ["Warning"]),
        (condition(condition_types.UNVERIFIED_PROMOTION, "True", reasons.ENTRY_UNVERIFIED), ["Warning"]),
        (condition(condition_types.UNVERIFIED_PROMOTION, "Unknown", reasons.RECORDS_UNSIGNED), ["Normal"]),
        (condition(condition_types.TEST_PATIENT_RETURNED, "True", reasons.IMAGES_RETURNED), ["Warning"]),
        (condition(condition_types.DRIFTING, "False", reasons.RECENT_WITHIN_FLOOR), ["Normal"]),
        (condition(condition_types.BACKEND_REACHABLE, "True", reasons.REACHABLE), ["Normal"]),
        (condition(condition_types.BACKEND_REACHABLE, "False", reasons.UNREACHABLE), ["Warning"]),
        (condition(condition_types.RUN_SUCCEEDED, "False", "Failed"), ["Warning"]),
        (condition(condition_types.RUN_SUCCEEDED, "Unknown", "Running"), ["Normal"]),
        (condition(condition_types.CLAIMED, "False", reasons.CLAIMED_ELSEWHERE), ["Normal"]),
        (condition(condition_types.PROGRESSING, "True", "Retrying"), ["Warning"]),
        (condition(condition_types.PROGRESSING, "True", "Running"), ["Normal"]),
    ],
)
def test_an_event_is_a_warning_only_where_something_failed(change: Condition, event_types: list[str]) -> None:
    assert [event_type for event_type, _ in reportable_transitions((READY,), (READY, change))] == event_types


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
