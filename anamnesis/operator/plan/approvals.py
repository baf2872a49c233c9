"""Whether an UpdateApproval counts: it is refused, it is recorded already, or it is to be written to the log."""

from datetime import datetime, timedelta

from anamnesis.operator.plan.plan_input import ObservedApproval, PlanInput
from anamnesis.operator.plan.planned_status import ApprovalState, PlannedApprovalStatus

POLICY_PROPAGATION_TIME = timedelta(seconds=5)
"""The API servers apply a new admission policy after a moment; the author of an approval from before is unverified."""


def validate_approval(approval: ObservedApproval, plan_input: PlanInput) -> PlannedApprovalStatus:
    """Returns the state of an approval; ``PENDING`` where it is to be written to the log now."""
    if approval.log_entry:
        return PlannedApprovalStatus(
            ApprovalState.RECORDED, f"recorded as entry {approval.log_entry} of the registry's log"
        )
    if approval.refusal_reason:  # a refusal is final, even if its cause is gone: a person creates another approval
        return PlannedApprovalStatus(ApprovalState(approval.refusal_reason))
    if not _is_author_verified(approval.created_at, plan_input.admission_policy_since):
        return PlannedApprovalStatus(
            ApprovalState.AUTHOR_UNVERIFIED,
            "this approval was created before the admission policy anamnesis-approvals was in force, so its author is "
            "not verified; "
            "install manifests/admission, then create the approval again",
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
        return PlannedApprovalStatus(ApprovalState.RECORDED, "this version is already the champion")
    if "promoted" not in approval.logged_decisions:
        return PlannedApprovalStatus(
            ApprovalState.NEVER_PROMOTED,
            "roll back is only possible to a version that was champion; to list the versions, run: "
            "anamnesis registry list --registry URL (spec.registry.url of the model)",
        )
    return PlannedApprovalStatus(ApprovalState.PENDING)


def _validate_decision(approval: ObservedApproval, plan_input: PlanInput) -> PlannedApprovalStatus:
    update = next((update for update in plan_input.updates if update.name == approval.update), None)
    if update is None:
        return PlannedApprovalStatus(
            ApprovalState.UNKNOWN_UPDATE,
            f"spec.update: there is no ModelUpdate {approval.update}; "
            "to list the ModelUpdates, run: kubectl get mupdate -n NAMESPACE",
        )
    if not approval.candidate:
        return PlannedApprovalStatus(
            ApprovalState.WRONG_VERSION,
            f"ModelUpdate {approval.update} has no version yet; "
            "create the approval again when the ModelUpdate has a version",
        )
    if approval.version != approval.candidate:
        return PlannedApprovalStatus(
            ApprovalState.WRONG_VERSION,
            f"spec.version: the version of ModelUpdate {approval.update} is {approval.candidate}; "
            "create an approval of that version",
        )
    if "rejected" in approval.logged_decisions:
        if approval.decision == "Reject":
            return PlannedApprovalStatus(ApprovalState.RECORDED, "a person has already rejected this version")
        return PlannedApprovalStatus(
            ApprovalState.ALREADY_REJECTED,
            "a person has already rejected this version, which is final; approve the version of another update",
        )
    if "promoted" in approval.logged_decisions:
        return PlannedApprovalStatus(
            ApprovalState.ALREADY_PROMOTED,
            "this version is already promoted; to return to an earlier version, run: "
            "anamnesis rollback -n NAMESPACE MODEL VERSION --reason TEXT",
        )
    if update.base != plan_input.champion:
        return PlannedApprovalStatus(
            ApprovalState.SUPERSEDED,
            "another version became champion first; approve the version of the next update, which learns the same data",
        )
    if approval.decision == "Approve" and "approved" in approval.logged_decisions:
        return PlannedApprovalStatus(ApprovalState.RECORDED, "this version was approved before")
    if approval.decision == "Approve" and approval.report not in ("", update.report):
        return PlannedApprovalStatus(
            ApprovalState.REPORT_CHANGED,
            f"spec.report: the report about this version is now {update.report}, because its scores or the limits of "
            "the gate have changed since; read the report, then create another approval",
        )
    return PlannedApprovalStatus(ApprovalState.PENDING)
