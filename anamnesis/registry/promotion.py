"""From a decision to the log: judge, settle, approve, reject, roll back. Repeated and racing calls are harmless."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import (
    ConflictError,
    Decision,
    Enforcement,
    EntryKind,
    LogEntry,
    RefusedError,
    Verdict,
    Window,
)
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.gate import FORGETTING, GatePolicy, References, RequiredTest, decide
from anamnesis.registry.history import History, fold
from anamnesis.registry.log import Log, Proposal
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store


def judge(store: Store, candidate: str, policy: GatePolicy, tests: Sequence[RequiredTest]) -> Decision:
    """Returns what the gate says of the version with the digest ``candidate`` now; writes nothing."""
    history = fold(Log(store).entries())
    version = read_version(store, candidate)
    evaluations = read_evaluations(store, candidate, {test.test_set for test in tests})
    earlier = [digest for digest in history.promoted if digest != candidate]
    return decide(policy, version, tests, evaluations, read_references(store, earlier, tests), history)


def read_references(store: Store, promoted: Iterable[str], tests: Sequence[RequiredTest]) -> References:
    """Returns the best score of ``promoted`` versions for each test set and primary metric."""
    best: dict[tuple[str, str], Decimal] = {}
    wanted = {(test.test_set, test.task.primary_metric) for test in tests}
    for version in promoted:
        for evaluation in read_evaluations(store, version, {test_set for test_set, _ in wanted}):
            for metric, score in evaluation.metrics.items():
                key = (evaluation.test_set, metric)
                if key in wanted and evaluation.name == FORGETTING and evaluation.window is Window.FROZEN:
                    best[key] = max(best.get(key, score.value), score.value)
    return best


def settle(store: Store, decision: Decision, who: str, why: str, clock: Clock = utc_now) -> LogEntry | None:
    """Writes a decision to the log: promotes, rejects or supersedes the candidate, once.

    A promotion is written only while the candidate's base is the champion; otherwise the candidate is superseded. An
    advisory gate promotes what it would have rejected or what waits for approval; it never overrules a person.

    Returns:
        The entry, or none where there is nothing to write: the decision waits, or it was settled before.
    """

    def propose(history: History) -> Proposal | None:
        kind, settled = _outcome(decision, history)
        if kind is None:
            return None
        return Proposal(kind, decision.candidate, who, why, settled)

    return Log(store, clock).append_if(propose)


def _outcome(decision: Decision, history: History) -> tuple[EntryKind | None, Decision]:
    version, verdict = decision.candidate, decision.verdict
    advisory = decision.enforcement is Enforcement.ADVISORY
    waits = verdict is Verdict.AWAIT_EVALUATIONS or (verdict is Verdict.AWAIT_APPROVAL and not advisory)
    if waits or version in history.promoted or history.vetoed(version):
        return None, decision
    if verdict is Verdict.REJECT and not advisory:
        return (None if version in history.rejected else EntryKind.REJECT), decision
    if decision.base != history.champion:
        reason = f"it was trained from {decision.base}, the champion is {history.champion}"
        late = replace(decision, verdict=Verdict.SUPERSEDED, champion=history.champion, reason=reason)
        return (None if version in history.superseded else EntryKind.SUPERSEDE), late
    return (None if verdict is Verdict.SUPERSEDED else EntryKind.PROMOTE), decision


def approve(store: Store, version: str, who: str, why: str, clock: Clock = utc_now) -> LogEntry | None:
    """Records that a person approves exactly this version.

    Returns:
        The entry, or none when it was approved before.

    Raises:
        MissingError: there is no such version.
        RefusedError: a person has rejected it.
    """
    read_version(store, version)

    def propose(history: History) -> Proposal | None:
        if history.vetoed(version):
            raise RefusedError(f"{version}: {history.rejected[version].who} has rejected it; that is final")
        return None if version in history.approvals else Proposal(EntryKind.APPROVE, version, who, why)

    return Log(store, clock).append_if(propose)


def reject(store: Store, version: str, who: str, why: str, clock: Clock = utc_now) -> LogEntry | None:
    """Records that a person rejects this version: it can never be promoted.

    Returns:
        The entry, or none when a person rejected it before.

    Raises:
        MissingError: there is no such version.
        RefusedError: it was promoted already.
    """
    read_version(store, version)

    def propose(history: History) -> Proposal | None:
        if version in history.promoted:
            raise RefusedError(f"{version}: was promoted already; roll back to an earlier version instead")
        return None if history.vetoed(version) else Proposal(EntryKind.REJECT, version, who, why)

    return Log(store, clock).append_if(propose)


def roll_back(store: Store, version: str, who: str, why: str, clock: Clock = utc_now) -> LogEntry | None:
    """Makes a version that was champion before the champion again.

    Returns:
        The entry, or none when it is the champion.

    Raises:
        RefusedError: it was never promoted.
    """

    def propose(history: History) -> Proposal | None:
        if version not in history.promoted:
            known = ", ".join(history.promoted) or "none"
            raise RefusedError(f"{version}: was never promoted, so one cannot roll back to it; promoted were {known}")
        return None if version == history.champion else Proposal(EntryKind.ROLL_BACK, version, who, why)

    return Log(store, clock).append_if(propose)


def adopt(store: Store, version: str, who: str, why: str, clock: Clock = utc_now) -> LogEntry | None:
    """Makes an imported version, which no gate has judged, the first champion.

    Returns:
        The entry, or none when this version was adopted before.

    Raises:
        MissingError: there is no such version.
        ConflictError: there is a champion.
    """
    base = read_version(store, version).base
    decision = Decision(Verdict.PROMOTE, version, base, None, (), (), "imported: no gate has judged it")

    def propose(history: History) -> Proposal | None:
        if version in history.promoted:
            return None
        if history.champion is not None or base is not None:
            raise ConflictError(f"{version}: only a version without a base can be the first champion of a new registry")
        return Proposal(EntryKind.PROMOTE, version, who, why, decision)

    return Log(store, clock).append_if(propose)
