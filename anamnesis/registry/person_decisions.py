"""Decisions of a person: approve, reject, roll back, withdraw. Each has one outcome, at one position of the log."""

from dataclasses import dataclass

from anamnesis.records import (
    DecisionOutcome,
    EntryKind,
    InputError,
    LogEntry,
    PersonDecision,
    RecordedApproval,
    RefusedError,
)
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.history import History, describe_withdrawal
from anamnesis.registry.log import EntryProposal, Log
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store

_KINDS = {
    PersonDecision.APPROVE: EntryKind.APPROVE,
    PersonDecision.REJECT: EntryKind.REJECT,
    PersonDecision.ROLL_BACK: EntryKind.ROLL_BACK,
    PersonDecision.WITHDRAW: EntryKind.WITHDRAW,
}

_REFUSALS_OF_EFFECT = (DecisionOutcome.REPORT_CHANGED, DecisionOutcome.SCORES_MISSING)


@dataclass(frozen=True, slots=True)
class ApprovalToRecord:
    """An UpdateApproval on its way to the log.

    Attributes:
        name: of the resource.
        uid: of the resource.
        decision: of the person.
        version: digest of the version that it is about; empty for a withdrawal.
        author: the person.
        reason: of the person.
        refusal: why the decision does not count, where the cluster's resources decide; none where the log decides.
        report: digest of the report that the person read, or empty.
    """

    name: str
    uid: str
    decision: PersonDecision
    version: str
    author: str
    reason: str
    refusal: DecisionOutcome | None = None
    report: str = ""


def judge_decision(history: History, decision: PersonDecision, version: str, base: str | None) -> DecisionOutcome:
    """Returns the outcome of a decision that is written to the log now. Pure.

    Args:
        history: history of the registry.
        decision: of the person.
        version: digest of the version that it is about; empty for a withdrawal.
        base: the version that this version was trained from.
    """
    match decision:
        case PersonDecision.WITHDRAW if history.withdrawal:
            return DecisionOutcome.ALREADY_IN_EFFECT
        case PersonDecision.WITHDRAW:
            return DecisionOutcome.RECORDED if history.champion else DecisionOutcome.NO_CHAMPION
        case PersonDecision.ROLL_BACK if version not in history.promoted_versions:
            return DecisionOutcome.NEVER_PROMOTED
        case PersonDecision.ROLL_BACK:
            is_champion = version == history.champion
            return DecisionOutcome.ALREADY_IN_EFFECT if is_champion else DecisionOutcome.RECORDED
        case _ if version in history.promoted_versions:
            return DecisionOutcome.ALREADY_PROMOTED
        case PersonDecision.REJECT:
            is_vetoed = history.is_vetoed(version)
            return DecisionOutcome.ALREADY_IN_EFFECT if is_vetoed else DecisionOutcome.RECORDED
        case PersonDecision.APPROVE if history.is_vetoed(version):
            return DecisionOutcome.ALREADY_REJECTED
        case PersonDecision.APPROVE if history.withdrawal or base != history.champion:
            return DecisionOutcome.SUPERSEDED
    return DecisionOutcome.ALREADY_IN_EFFECT if version in history.approvals else DecisionOutcome.RECORDED


def record_approval(store: Store, approval: ApprovalToRecord, clock: Clock = utc_now) -> LogEntry | None:
    """Writes the decision of an UpdateApproval to the log, once: with its effect, or as ``no_effect``.

    Repeated and concurrent calls are safe: the log has at most one entry for each uid.

    Returns:
        The new entry; none when the log has this approval.
    """
    is_candidate = approval.decision is PersonDecision.APPROVE and approval.refusal in (None, *_REFUSALS_OF_EFFECT)
    base = read_version(store, approval.version).base if is_candidate else None

    def propose(history: History) -> EntryProposal | None:
        if approval.uid in history.recorded_approvals:
            return None
        outcome = _outcome_of(approval, history, base)
        kind = _KINDS[approval.decision] if outcome is DecisionOutcome.RECORDED else EntryKind.NO_EFFECT
        return EntryProposal(
            kind,
            approval.version or _withdrawn_version(history),
            approval.author,
            approval.reason,
            approval=RecordedApproval(
                approval.name, approval.uid, decision=approval.decision, outcome=outcome, report=approval.report
            ),
        )

    return Log(store, clock).append_if(propose)


def _outcome_of(approval: ApprovalToRecord, history: History, base: str | None) -> DecisionOutcome:
    """A changed report, or missing scores, refuse only a decision that would take effect."""
    if approval.refusal and approval.refusal not in _REFUSALS_OF_EFFECT:
        return approval.refusal
    outcome = judge_decision(history, approval.decision, approval.version, base)
    return approval.refusal if approval.refusal and outcome is DecisionOutcome.RECORDED else outcome


def approve(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Records that a person approves exactly this version.

    Returns:
        The new entry; none when the version was approved before.

    Raises:
        MissingObjectError: the version does not exist.
        RefusedError: a person has rejected the version, it was promoted, or another version is the champion.
    """
    return _decide(store, PersonDecision.APPROVE, version, author=author, reason=reason, clock=clock)


def reject(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Records that a person rejects this version; it can never be promoted.

    Returns:
        The new entry; none when a person rejected the version before.

    Raises:
        MissingObjectError: the version does not exist.
        RefusedError: the version was already promoted.
    """
    return _decide(store, PersonDecision.REJECT, version, author=author, reason=reason, clock=clock)


def roll_back(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Makes a former champion the champion again; this ends a withdrawal.

    Returns:
        The new entry; none when the version is the champion.

    Raises:
        RefusedError: the version was never champion.
    """
    return _decide(store, PersonDecision.ROLL_BACK, version, author=author, reason=reason, clock=clock)


def withdraw(store: Store, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Takes the champion out of use: no version is in use, and none is promoted, until a person rolls back to one.

    Returns:
        The new entry; none when the champion is withdrawn.

    Raises:
        RefusedError: the registry has no champion.
    """
    return _decide(store, PersonDecision.WITHDRAW, "", author=author, reason=reason, clock=clock)


def _decide(
    store: Store, decision: PersonDecision, version: str, *, author: str, reason: str, clock: Clock
) -> LogEntry | None:
    if not reason.strip():
        raise InputError(f"{decision} {version}: the reason is blank; give one with --reason")
    is_candidate = decision in (PersonDecision.APPROVE, PersonDecision.REJECT)
    base = read_version(store, version).base if is_candidate else None

    def propose(history: History) -> EntryProposal | None:
        outcome = judge_decision(history, decision, version, base)
        if outcome.is_refused:
            raise RefusedError(_refusal_message(history, outcome, version, base))
        if outcome is DecisionOutcome.ALREADY_IN_EFFECT:
            return None
        return EntryProposal(_KINDS[decision], version or _withdrawn_version(history), author, reason)

    return Log(store, clock).append_if(propose)


def _withdrawn_version(history: History) -> str:
    return history.withdrawal.subject if history.withdrawal else history.champion or ""


def _refusal_message(history: History, outcome: DecisionOutcome, version: str, base: str | None) -> str:
    match outcome:
        case DecisionOutcome.ALREADY_REJECTED:
            author = history.rejections[version].author
            return f"{version}: {author} has rejected it, and a rejection is final; train another version"
        case DecisionOutcome.ALREADY_PROMOTED:
            return f"{version}: this version was already promoted; roll back to an earlier version instead"
        case DecisionOutcome.SUPERSEDED if history.withdrawal:
            return f"{version}: {describe_withdrawal(history.withdrawal)}"
        case DecisionOutcome.SUPERSEDED:
            return (
                f"{version}: it was trained from {base}, but the champion is {history.champion}; "
                "approve the version of the next update"
            )
        case DecisionOutcome.NO_CHAMPION:
            return "there is no champion to withdraw; to stop updates, set spec.state: Suspended"
    if not history.promoted_versions:
        return (
            f"{version}: cannot roll back to this version, because no version was ever champion; "
            "wait for the first promotion"
        )
    return (
        f"{version}: cannot roll back, this version was never champion; "
        f"choose one of: {', '.join(history.promoted_versions)}"
    )
