"""A command that waits for the operator says what it waits for, and that the decision stands."""

from itertools import count
from typing import cast

import pytest
from builders.resource_documents import document

from anamnesis.cli.cluster.approvals import ApprovalOutcome, wait_until_recorded
from anamnesis.cli.cluster.connection import Connection
from anamnesis.operator.api import UpdateApproval
from anamnesis.operator.api.conditions import make_condition
from anamnesis.operator.api.status import UpdateApprovalStatus
from anamnesis.records import UnreachableError

SPEC = {"model": "chest", "decision": "Withdraw", "approver": "rossi", "reason": "wrong labels"}
PENDING = ApprovalOutcome("stop", "rossi", "", reason="Pending", message="")
WAITS = make_condition("Recorded", None, "Pending", "the decision stands: the bucket does not answer")
RECORDED = make_condition("Recorded", True, "Recorded", "recorded as entry 7")


class ConnectionOverTime:
    """The UpdateApproval as it is from some request on."""

    namespace = "wards"

    def __init__(self, changes: dict[int, UpdateApprovalStatus]) -> None:
        self.changes, self.requests = changes, count()
        self.approval = UpdateApproval.model_validate(document("UpdateApproval", "stop", SPEC, {"namespace": "wards"}))

    def get(self, kind: type[UpdateApproval], name: str) -> UpdateApproval:
        status = self.changes.get(next(self.requests))
        if status:
            self.approval = self.approval.model_copy(update={"status": status})
        return self.approval


def wait(changes: dict[int, UpdateApprovalStatus], timeout: float) -> tuple[ApprovalOutcome, list[str]]:
    seconds, reports = count(), list[str]()
    connection = cast(Connection, ConnectionOverTime(changes))
    outcome = wait_until_recorded(
        connection, PENDING, timeout, report=reports.append, clock=lambda: next(seconds), sleep=lambda seconds: None
    )
    return outcome, reports


def test_progress_says_what_the_decision_waits_for() -> None:
    statuses = {8: UpdateApprovalStatus(conditions=(WAITS,)), 20: UpdateApprovalStatus(conditions=(RECORDED,))}
    outcome, reports = wait(statuses, 1000)
    assert (outcome.reason, outcome.message) == ("Recorded", "recorded as entry 7")
    assert reports[0].endswith("the operator has not read the approval yet")
    assert reports[-1].endswith("the bucket does not answer")
    assert len(reports) < 6, "not at every request"


def test_a_command_that_gives_up_says_that_the_decision_stands() -> None:
    with pytest.raises(UnreachableError) as caught:
        wait({8: UpdateApprovalStatus(conditions=(WAITS,))}, 60)
    for text in ("the bucket does not answer", "The decision stands", "do not repeat the command"):
        assert text in str(caught.value)
