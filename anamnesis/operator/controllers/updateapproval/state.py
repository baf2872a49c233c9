"""The state of one UpdateApproval: plain values, read from the resource, its ModelUpdate and the registry's log."""

from collections.abc import Mapping

from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.condition_types import RECORDED
from anamnesis.operator.api.update import ModelUpdate, model_part, name_prefix
from anamnesis.operator.plan import ApprovalState, ObservedApproval
from anamnesis.records import LogEntry, PersonDecision


def is_final(approval: UpdateApproval) -> bool:
    """Returns whether the status has a final state: nothing is decided about this approval again."""
    condition = approval.status.condition(RECORDED)
    return condition is not None and condition.status != "Unknown" and condition.reason != ApprovalState.PENDING


def concerns_model(approval: UpdateApproval, update: ModelUpdate | None, model: str) -> bool:
    """Returns whether an approval is about a model: it names the model, its update, or an update that it may have had.

    Args:
        approval: the approval.
        update: the ModelUpdate that it names; none where there is none.
        model: name of the model.
    """
    if update is not None:
        return update.spec.model == model
    if approval.spec.update is None:
        return approval.spec.model == model
    return model_part(approval.spec.update) == name_prefix(model)[:-1]


def observe_approval(
    approval: UpdateApproval,
    update: ModelUpdate | None,
    *,
    candidate: str,
    present_report: CandidateReport | None,
    recorded_approvals: Mapping[str, LogEntry],
) -> ObservedApproval:
    """Returns what the plan needs to know about an approval.

    Args:
        approval: whose status has no final state.
        update: the ModelUpdate that it names; none where there is none.
        candidate: the version that this update gave, or empty.
        present_report: the report about this version now; none where the gate does not decide.
        recorded_approvals: uid -> the entry of the log that records the approval.
    """
    spec, metadata = approval.spec, approval.metadata
    assert metadata.creation_timestamp is not None  # the API server sets it
    recorded = [(entry, entry.approval) for entry in recorded_approvals.values() if entry.approval]
    return ObservedApproval(
        name=metadata.name,
        decision=PersonDecision(spec.decision),
        version=spec.version or "",
        created_at=metadata.creation_timestamp,
        update=spec.update or "",
        has_update=update is not None,
        candidate=candidate,
        report=spec.report or "",
        present_report=present_report.digest if present_report else "",
        lacks_scores=present_report is not None and present_report.lacks_scores,
        entry=recorded_approvals.get(metadata.uid),
        earlier_entry=next(
            (
                entry.number
                for entry, reference in recorded
                if (reference.name, reference.decision) == (metadata.name, spec.decision)
                and (entry.author, entry.reason) == (spec.approver, spec.reason)
                and spec.version in (None, entry.subject)
            ),
            0,
        ),
    )
