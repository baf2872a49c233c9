"""What becomes of an UpdateApproval: it is in the log, it is refused, or it is to be written to the log now."""

from datetime import datetime, timedelta

from anamnesis.operator.api.admission import ApprovalPolicy
from anamnesis.operator.plan.plan_input import ObservedApproval
from anamnesis.operator.plan.planned_status import ApprovalState, PlannedApprovalStatus
from anamnesis.records import DecisionOutcome, LogEntry, PersonDecision

POLICY_PROPAGATION_TIME = timedelta(seconds=5)
"""The API servers apply a new admission policy after a moment; the author of an approval from before is unverified."""


def decide_approval(approval: ObservedApproval, policy: ApprovalPolicy) -> PlannedApprovalStatus:
    """Returns the state of an approval; ``PENDING`` where it is to be written to the log now.

    Every other state is final: the operator stores it in the status and never decides about the approval again.

    Args:
        approval: without a final state.
        policy: the admission policy that verifies the authors of approvals.
    """
    if approval.entry and approval.entry.approval:
        return _recorded_status(approval, approval.entry, approval.entry.approval.outcome)
    if approval.earlier_entry:
        return PlannedApprovalStatus(
            ApprovalState.RECORDED_BEFORE,
            f"entry {approval.earlier_entry} of the registry's log records an approval of this name and content, which "
            "was deleted and created again; it counts once. To decide again, create an approval with another name",
        )
    if unverified := _why_unverified(approval.created_at, policy):
        return PlannedApprovalStatus(ApprovalState.AUTHOR_UNVERIFIED, unverified)
    return PlannedApprovalStatus(ApprovalState.PENDING)


MODEL_CREATION_TIME = timedelta(minutes=1)
"""A tool may apply an approval before its model."""


def decide_without_model(model: str, created_at: datetime, now: datetime) -> PlannedApprovalStatus:
    """Returns the state of an approval whose model does not exist; final, so that no later model has the decision."""
    message = f"this namespace has no ContinualModel {model}"
    if now < created_at + MODEL_CREATION_TIME:
        return PlannedApprovalStatus(ApprovalState.PENDING, f"{message} yet")
    return PlannedApprovalStatus(
        ApprovalState.UNKNOWN_MODEL,
        f"{message}, so nothing was decided; to list the models, run: kubectl get cmodel -n NAMESPACE. "
        "Then create another approval",
    )


def find_refusal(approval: ObservedApproval) -> DecisionOutcome | None:
    """Returns why the cluster's resources refuse an approval; none where the log decides about it."""
    if approval.decision in (PersonDecision.ROLL_BACK, PersonDecision.WITHDRAW):
        return None
    if not approval.has_update:
        return DecisionOutcome.UNKNOWN_UPDATE
    if approval.version != approval.candidate:
        return DecisionOutcome.WRONG_VERSION
    if approval.decision is not PersonDecision.APPROVE:
        return None
    if approval.report not in ("", approval.present_report):
        return DecisionOutcome.REPORT_CHANGED
    return DecisionOutcome.SCORES_MISSING if approval.lacks_scores else None


def _why_unverified(created_at: datetime, policy: ApprovalPolicy) -> str:
    """Returns why nobody verified the author of an approval, and what to do; empty where the policy did."""
    if not policy.is_readable:
        return (
            "the operator may not read the admission policy anamnesis-approvals, so it does not know whether the "
            "author of this approval was verified; let a cluster administrator give the operator the right "
            "(rbac.admissionReader of the chart, or manifests/base/admission-reader.yaml), then create the approval "
            "again"
        )
    if policy.in_force_since is None:
        return (
            "the admission policy anamnesis-approvals is not installed, or was weakened, so the author of this "
            "approval is not verified; install manifests/admission, then create the approval again"
        )
    if created_at < policy.in_force_since + POLICY_PROPAGATION_TIME:
        return (
            "this approval was created before the admission policy anamnesis-approvals was in force "
            f"({policy.in_force_since:%Y-%m-%d %H:%M:%S} UTC; it counts {POLICY_PROPAGATION_TIME.seconds} s later), so "
            "its author is not verified; create the approval again"
        )
    return ""


def _recorded_status(approval: ObservedApproval, entry: LogEntry, outcome: DecisionOutcome) -> PlannedApprovalStatus:
    position = f"entry {entry.number} of the registry's log"
    match outcome:
        case DecisionOutcome.RECORDED:
            message = f"recorded as {position}{_EFFECTS[approval.decision]}"
        case DecisionOutcome.ALREADY_IN_EFFECT:
            message = f"{_EARLIER_EFFECTS[approval.decision]}, so nothing changed, now or later; recorded as {position}"
        case _:
            message = f"{_refusal_message(approval, outcome)} (refused in {position})"
    return PlannedApprovalStatus(ApprovalState(outcome.value), message, entry.number)


_EFFECTS = {
    PersonDecision.APPROVE: "",
    PersonDecision.REJECT: "",
    PersonDecision.ROLL_BACK: ": the version became the champion",
    PersonDecision.WITHDRAW: ": no version is in use until a person rolls back to one",
}
_EARLIER_EFFECTS = {
    PersonDecision.APPROVE: "this version was approved before",
    PersonDecision.REJECT: "a person rejected this version before",
    PersonDecision.ROLL_BACK: "this version was the champion already",
    PersonDecision.WITHDRAW: "the champion was withdrawn before",
}


def _refusal_message(approval: ObservedApproval, outcome: DecisionOutcome) -> str:
    match outcome:
        case DecisionOutcome.UNKNOWN_UPDATE:
            return (
                f"spec.update: there was no ModelUpdate {approval.update}; "
                "to list the ModelUpdates, run: kubectl get mupdate -n NAMESPACE"
            )
        case DecisionOutcome.WRONG_VERSION if approval.candidate:
            return (
                f"spec.version: the version of ModelUpdate {approval.update} is {approval.candidate}; "
                "create an approval of that version"
            )
        case DecisionOutcome.WRONG_VERSION:
            return f"ModelUpdate {approval.update} had no version; create another approval when the ModelUpdate has one"
        case DecisionOutcome.ALREADY_REJECTED:
            return "a person has already rejected this version, which is final; approve the version of another update"
        case DecisionOutcome.ALREADY_PROMOTED:
            return (
                "this version is already promoted; to return to an earlier version, run: "
                "anamnesis rollback -n NAMESPACE MODEL VERSION --reason TEXT"
            )
        case DecisionOutcome.NEVER_PROMOTED:
            return (
                "roll back is only possible to a version that was champion; to list the versions, run: "
                "anamnesis registry list --registry URL (spec.registry.url of the model)"
            )
        case DecisionOutcome.REPORT_CHANGED:
            return (
                f"spec.report: the report about this version is now {approval.present_report or 'gone'}, because its "
                "scores or the limits of the gate have changed since; read the report, then create another approval"
            )
        case DecisionOutcome.SCORES_MISSING:
            return (
                "the gate still waited for scores of this version, so nobody had read them; when its update is "
                "AwaitingApproval, read the report, then create another approval"
            )
        case DecisionOutcome.NO_CHAMPION:
            return "there was no champion to withdraw; to stop updates, run: anamnesis suspend -n NAMESPACE MODEL"
    return (
        "the champion was not the version that this one was trained from; approve the version of the next update, "
        "which learns the same data"
    )
