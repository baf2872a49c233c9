"""What to do with a person's word."""

from datetime import datetime, timedelta

from anamnesis.operator.plan.plan_input import ObservedApproval, PlanInput
from anamnesis.operator.plan.planned_status import ApprovalState, PlannedApprovalStatus

POLICY_PROPAGATION_TIME = timedelta(seconds=5)
"""An admission policy takes a moment to be in force everywhere; what was created in it has an author who was not
checked."""


def validate_approval(approval: ObservedApproval, plan_input: PlanInput) -> PlannedApprovalStatus:
    """Returns what becomes of an approval; ``PENDING`` means that it is to be written to the log now."""
    if approval.log_entry:
        return PlannedApprovalStatus(ApprovalState.RECORDED, f"log entry {approval.log_entry}")
    if approval.refusal_reason:  # what was refused once stays refused, whatever comes later: a person says it again
        return PlannedApprovalStatus(ApprovalState(approval.refusal_reason))
    if not _is_author_verified(approval.created_at, plan_input.admission_policy_since):
        return PlannedApprovalStatus(
            ApprovalState.AUTHOR_UNVERIFIED,
            "the admission policy anamnesis-approvals was not in force when this was created, so its author is not "
            "certain; install manifests/admission and create it again",
        )
    return (
        _validate_roll_back(approval, plan_input)
        if approval.decision == "RollBack"
        else _validate_decision(approval, plan_input)
    )


def _is_author_verified(created_at: datetime, admission_policy_since: datetime | None) -> bool:
    return admission_policy_since is not None and created_at >= admission_policy_since + POLICY_PROPAGATION_TIME


def _validate_roll_back(approval: ObservedApproval, plan_input: PlanInput) -> PlannedApprovalStatus:
    if approval.version == plan_input.champion:
        return PlannedApprovalStatus(ApprovalState.RECORDED, "this version is the champion")
    if "promoted" not in approval.logged_decisions:
        return PlannedApprovalStatus(
            ApprovalState.NEVER_PROMOTED, "one can only roll back to a version that was champion"
        )
    return PlannedApprovalStatus(ApprovalState.PENDING)


def _validate_decision(approval: ObservedApproval, plan_input: PlanInput) -> PlannedApprovalStatus:
    if approval.update not in {update.name for update in plan_input.updates}:
        return PlannedApprovalStatus(ApprovalState.UNKNOWN_UPDATE, f"there is no ModelUpdate {approval.update}")
    if approval.version != approval.candidate:
        version_message = f"its version is {approval.candidate}" if approval.candidate else "it has no version yet"
        return PlannedApprovalStatus(ApprovalState.WRONG_VERSION, f"{approval.update}: {version_message}")
    if "rejected" in approval.logged_decisions:
        if approval.decision == "Reject":
            return PlannedApprovalStatus(ApprovalState.RECORDED, "a person rejected it before")
        return PlannedApprovalStatus(ApprovalState.ALREADY_REJECTED, "a person rejected it, which is final")
    if "promoted" in approval.logged_decisions:
        return PlannedApprovalStatus(ApprovalState.ALREADY_PROMOTED, "it was promoted already; RollBack undoes that")
    base = next(update.base for update in plan_input.updates if update.name == approval.update)
    if base != plan_input.champion:
        return PlannedApprovalStatus(
            ApprovalState.SUPERSEDED, "another version became champion; its data is learned anew"
        )
    if approval.decision == "Approve" and "approved" in approval.logged_decisions:
        return PlannedApprovalStatus(ApprovalState.RECORDED, "it was approved before")
    return PlannedApprovalStatus(ApprovalState.PENDING)
