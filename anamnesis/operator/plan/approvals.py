"""What to do with a person's word."""

from datetime import datetime, timedelta

from anamnesis.operator.plan.plan_input import Observed, ObservedApproval
from anamnesis.operator.plan.planned_status import ApprovalState, ApprovalStatus

SETTLED = timedelta(seconds=5)
"""An admission policy takes a moment to be in force everywhere; what was created in it has an author who was not
checked."""


def examine(approval: ObservedApproval, observed: Observed) -> ApprovalStatus:
    """Returns what becomes of an approval; ``PENDING`` means that it is to be written to the log now."""
    if approval.entry:
        return ApprovalStatus(ApprovalState.RECORDED, f"log entry {approval.entry}")
    if approval.refused:  # what was refused once stays refused, whatever comes later: a person says it again
        return ApprovalStatus(ApprovalState(approval.refused))
    if not _author_is_certain(approval.created, observed.guarded_since):
        return ApprovalStatus(
            ApprovalState.AUTHOR_UNVERIFIED,
            "the admission policy anamnesis-approvals was not in force when this was created, so its author is not "
            "certain; install manifests/admission and create it again",
        )
    return _roll_back(approval, observed) if approval.decision == "RollBack" else _word(approval, observed)


def _author_is_certain(created: datetime, guarded_since: datetime | None) -> bool:
    return guarded_since is not None and created >= guarded_since + SETTLED


def _roll_back(approval: ObservedApproval, observed: Observed) -> ApprovalStatus:
    if approval.version == observed.champion:
        return ApprovalStatus(ApprovalState.RECORDED, "this version is the champion")
    if "promoted" not in approval.decided:
        return ApprovalStatus(ApprovalState.NEVER_PROMOTED, "one can only roll back to a version that was champion")
    return ApprovalStatus(ApprovalState.PENDING)


def _word(approval: ObservedApproval, observed: Observed) -> ApprovalStatus:
    if approval.update not in {update.name for update in observed.updates}:
        return ApprovalStatus(ApprovalState.UNKNOWN_UPDATE, f"there is no ModelUpdate {approval.update}")
    if approval.version != approval.candidate:
        is_now = f"its version is {approval.candidate}" if approval.candidate else "it has no version yet"
        return ApprovalStatus(ApprovalState.WRONG_VERSION, f"{approval.update}: {is_now}")
    if "rejected" in approval.decided:
        if approval.decision == "Reject":
            return ApprovalStatus(ApprovalState.RECORDED, "a person rejected it before")
        return ApprovalStatus(ApprovalState.ALREADY_REJECTED, "a person rejected it, which is final")
    if "promoted" in approval.decided:
        return ApprovalStatus(ApprovalState.ALREADY_PROMOTED, "it was promoted already; RollBack undoes that")
    base = next(update.base for update in observed.updates if update.name == approval.update)
    if base != observed.champion:
        return ApprovalStatus(ApprovalState.SUPERSEDED, "another version became champion; its data is learned anew")
    if approval.decision == "Approve" and "approved" in approval.decided:
        return ApprovalStatus(ApprovalState.RECORDED, "it was approved before")
    return ApprovalStatus(ApprovalState.PENDING)
