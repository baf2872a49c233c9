"""Evaluate the gate, record its decision, import a champion. Repeated and concurrent calls are safe."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from anamnesis.records import (
    ConflictError,
    Decision,
    Enforcement,
    EntryKind,
    LogEntry,
    Verdict,
)
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.gate import GatePolicy, RequiredTestSet, decide_promotion
from anamnesis.registry.history import History, describe_withdrawal
from anamnesis.registry.log import EntryProposal, Log
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store


def evaluate_gate(store: Store, candidate: str, policy: GatePolicy, tests: Sequence[RequiredTestSet]) -> Decision:
    """Returns the gate's decision on the version with the digest ``candidate``; writes nothing."""
    history = Log(store).history()
    version = read_version(store, candidate)
    test_sets = tests_and_earlier_sets(tests, history)
    versions = [candidate, *([version.base] if version.base else ())]
    return decide_promotion(
        policy=policy,
        candidate=version,
        tests=tests,
        evaluations=[item for digest in versions for item in read_evaluations(store, digest, test_sets)],
        history=history,
    )


def tests_and_earlier_sets(tests: Iterable[RequiredTestSet], history: History) -> set[str]:
    """Returns the digests of test sets, and of those that they replaced."""
    digests = {test.test_set for test in tests}
    return digests | {earlier for digest in digests if (earlier := history.earlier_test_set(digest))}


def record_decision(
    store: Store, decision: Decision, author: str, reason: str, clock: Clock = utc_now
) -> LogEntry | None:
    """Writes a decision to the log: promotes, rejects or supersedes the candidate, once.

    A promotion is written only while the candidate's base is the champion; otherwise the candidate is superseded. An
    advisory gate also promotes a candidate that failed or that waits for approval; it never overrules a person.

    Returns:
        The new entry; none when the decision waits, or was recorded before.
    """

    def propose(history: History) -> EntryProposal | None:
        kind, final_decision = _resolve_entry(decision, history)
        if kind is None:
            return None
        return EntryProposal(kind, decision.candidate, author, reason, decision=final_decision)

    return Log(store, clock).append_if(propose)


def _resolve_entry(decision: Decision, history: History) -> tuple[EntryKind | None, Decision]:
    version, verdict = decision.candidate, decision.verdict
    is_advisory = decision.enforcement is Enforcement.ADVISORY
    is_waiting = verdict is Verdict.AWAIT_EVALUATIONS or (verdict is Verdict.AWAIT_APPROVAL and not is_advisory)
    if is_waiting or version in history.promoted_versions or history.is_vetoed(version):
        return None, decision
    if verdict is Verdict.REJECT and not is_advisory:
        return (None if version in history.rejections else EntryKind.REJECT), decision
    if history.withdrawal or decision.base != history.champion:
        reason = (
            describe_withdrawal(history.withdrawal)
            if history.withdrawal
            else f"it was trained from {decision.base}, but the champion is {history.champion}"
        )
        superseded_decision = replace(decision, verdict=Verdict.SUPERSEDED, champion=history.champion, reason=reason)
        return (None if version in history.superseding_entries else EntryKind.SUPERSEDE), superseded_decision
    if verdict is Verdict.SUPERSEDED:
        return (None if version in history.superseding_entries else EntryKind.SUPERSEDE), decision
    return EntryKind.PROMOTE, decision


def import_champion(store: Store, version: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Makes an imported version the first champion, without a gate.

    Returns:
        The new entry; none when this version was imported before.

    Raises:
        MissingObjectError: the version does not exist.
        ConflictError: the registry has a champion or a withdrawn one, or the version has a base.
    """
    base = read_version(store, version).base
    decision = Decision(
        verdict=Verdict.PROMOTE,
        candidate=version,
        base=base,
        champion=None,
        criteria=(),
        evaluations=(),
        reason="imported without a gate",
    )

    def propose(history: History) -> EntryProposal | None:
        if version in history.promoted_versions:
            return None
        if base is not None:
            raise ConflictError(
                f"{version}: cannot import a version that was trained from another one ({base}); "
                "import weights without a base"
            )
        if history.withdrawal:
            raise ConflictError(f"{version}: cannot import the version: {describe_withdrawal(history.withdrawal)}")
        if history.champion is not None:
            raise ConflictError(
                f"{version}: cannot import the version, because {store.url} has the champion {history.champion}; "
                "import into the registry of a new model"
            )
        return EntryProposal(EntryKind.PROMOTE, version, author, reason, decision=decision)

    return Log(store, clock).append_if(propose)
