"""From a decision to the log: judge, settle, approve, reject, roll back. Repeated and racing calls are harmless."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import (
    ConflictError,
    Decision,
    Enforcement,
    EntryKind,
    Evaluation,
    EvaluationSet,
    LogEntry,
    RefusedError,
    Verdict,
)
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.gate import FORGETTING, GatePolicy, ReferenceScores, RequiredTestSet, decide_promotion
from anamnesis.registry.history import History, build_history
from anamnesis.registry.log import EntryProposal, Log
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store


def evaluate_gate(store: Store, candidate: str, policy: GatePolicy, tests: Sequence[RequiredTestSet]) -> Decision:
    """Returns what the gate says of the version with the digest ``candidate`` now; writes nothing."""
    history = build_history(Log(store).entries())
    version = read_version(store, candidate)
    test_sets = {test.test_set for test in tests}
    evaluations = read_evaluations(store, candidate, test_sets)
    earlier_evaluations = (
        evaluation
        for digest in history.promoted_versions
        if digest != candidate
        for evaluation in read_evaluations(store, digest, test_sets)
    )
    references = reference_scores(earlier_evaluations, tests)
    return decide_promotion(policy, version, tests, evaluations, references, history)


def reference_scores(evaluations: Iterable[Evaluation], tests: Sequence[RequiredTestSet]) -> ReferenceScores:
    """Returns the best score among ``evaluations`` for each test set and primary metric."""
    best_scores: dict[tuple[str, str], Decimal] = {}
    required_scores = {(test.test_set, test.task.primary_metric) for test in tests}
    for evaluation in evaluations:
        for metric, score in evaluation.metrics.items():
            key = (evaluation.test_set, metric)
            if (
                key in required_scores
                and evaluation.name == FORGETTING
                and evaluation.evaluation_set is EvaluationSet.FROZEN
            ):
                best_scores[key] = max(best_scores.get(key, score.value), score.value)
    return best_scores


def record_decision(
    store: Store, decision: Decision, author: str, reason: str, clock: Clock = utc_now
) -> LogEntry | None:
    """Writes a decision to the log: promotes, rejects or supersedes the candidate, once.

    A promotion is written only while the candidate's base is the champion; otherwise the candidate is superseded. An
    advisory gate promotes what it would have rejected or what waits for approval; it never overrules a person.

    Returns:
        The entry, or none where there is nothing to write: the decision waits, or it was settled before.
    """

    def propose(history: History) -> EntryProposal | None:
        kind, final_decision = _resolve_entry(decision, history)
        if kind is None:
            return None
        return EntryProposal(kind, decision.candidate, author, reason, final_decision)

    return Log(store, clock).append_if(propose)


def _resolve_entry(decision: Decision, history: History) -> tuple[EntryKind | None, Decision]:
    version, verdict = decision.candidate, decision.verdict
    is_advisory = decision.enforcement is Enforcement.ADVISORY
    is_waiting = verdict is Verdict.AWAIT_EVALUATIONS or (verdict is Verdict.AWAIT_APPROVAL and not is_advisory)
    if is_waiting or version in history.promoted_versions or history.is_vetoed(version):
        return None, decision
    if verdict is Verdict.REJECT and not is_advisory:
        return (None if version in history.rejections else EntryKind.REJECT), decision
    if decision.base != history.champion:
        reason = f"it was trained from {decision.base}, the champion is {history.champion}"
        superseded_decision = replace(decision, verdict=Verdict.SUPERSEDED, champion=history.champion, reason=reason)
        return (None if version in history.superseding_entries else EntryKind.SUPERSEDE), superseded_decision
    return (None if verdict is Verdict.SUPERSEDED else EntryKind.PROMOTE), decision


def approve(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Records that a person approves exactly this version.

    Returns:
        The entry, or none when it was approved before.

    Raises:
        MissingError: there is no such version.
        RefusedError: a person has rejected it.
    """
    read_version(store, version)

    def propose(history: History) -> EntryProposal | None:
        if history.is_vetoed(version):
            raise RefusedError(f"{version}: {history.rejections[version].author} has rejected it; that is final")
        return None if version in history.approvals else EntryProposal(EntryKind.APPROVE, version, author, reason)

    return Log(store, clock).append_if(propose)


def reject(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Records that a person rejects this version: it can never be promoted.

    Returns:
        The entry, or none when a person rejected it before.

    Raises:
        MissingError: there is no such version.
        RefusedError: it was promoted already.
    """
    read_version(store, version)

    def propose(history: History) -> EntryProposal | None:
        if version in history.promoted_versions:
            raise RefusedError(f"{version}: was promoted already; roll back to an earlier version instead")
        return None if history.is_vetoed(version) else EntryProposal(EntryKind.REJECT, version, author, reason)

    return Log(store, clock).append_if(propose)


def roll_back(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Makes a version that was champion before the champion again.

    Returns:
        The entry, or none when it is the champion.

    Raises:
        RefusedError: it was never promoted.
    """

    def propose(history: History) -> EntryProposal | None:
        if version not in history.promoted_versions:
            promoted_text = ", ".join(history.promoted_versions) or "none"
            raise RefusedError(
                f"{version}: was never promoted, so one cannot roll back to it; promoted were {promoted_text}"
            )
        return None if version == history.champion else EntryProposal(EntryKind.ROLL_BACK, version, author, reason)

    return Log(store, clock).append_if(propose)


def import_champion(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Makes an imported version, which no gate has judged, the first champion.

    Returns:
        The entry, or none when this version was adopted before.

    Raises:
        MissingError: there is no such version.
        ConflictError: there is a champion.
    """
    base = read_version(store, version).base
    decision = Decision(Verdict.PROMOTE, version, base, None, (), (), "imported: no gate has judged it")

    def propose(history: History) -> EntryProposal | None:
        if version in history.promoted_versions:
            return None
        if history.champion is not None or base is not None:
            raise ConflictError(f"{version}: only a version without a base can be the first champion of a new registry")
        return EntryProposal(EntryKind.PROMOTE, version, author, reason, decision)

    return Log(store, clock).append_if(propose)
