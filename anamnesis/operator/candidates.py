"""The one rule for candidates: what the registry's log and the gate decide about a version. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from anamnesis.operator.plan import Candidate
from anamnesis.records import Decision, EntryKind, LogEntry, Verdict
from anamnesis.records.timestamps import parse_timestamp
from anamnesis.registry import History


def site_candidates(
    base_by_version: Mapping[str, str],
    history: History,
    entries: Sequence[LogEntry],
    evaluate: Callable[[str], Decision] | None = None,
) -> Iterator[Candidate]:
    """Yields the versions trained on a site's present data that decide what happens to that data.

    These are the rejected and the rolled back versions; with ``evaluate`` also those on top of the champion, as the
    gate decides about them now.

    Args:
        base_by_version: version trained on that data with the model's present configuration -> its base, or empty.
        history: state of the log.
        entries: of the log.
        evaluate: evaluates the gate for a version; none on a cluster, where ModelUpdates represent such versions.
    """
    for version, base in base_by_version.items():
        if version in history.lineage:
            continue
        candidate = logged_candidate(version, base, history, entries)
        if candidate and (candidate.is_rejected or candidate.is_rolled_back):
            yield candidate
        elif evaluate and base == (history.champion or ""):
            yield merge_decision(version, candidate, evaluate(version))


def merge_decision(version: str, candidate: Candidate | None, decision: Decision) -> Candidate:
    """Returns a candidate that the gate evaluated now: a rejection in the log holds until the gate would accept it."""
    if candidate and decision.verdict is Verdict.REJECT:
        return candidate
    return Candidate(version, decision.verdict, decision.reason)


def needs_gate(candidate: Candidate | None, history: History, requested_at: datetime | None) -> bool:
    """Returns whether the gate decides about a version: the log does not, or a person requested another decision.

    Args:
        candidate: the version as the log has it, or none.
        history: state of the log.
        requested_at: when a person requested the update that gave the version; none where nobody did.
    """
    if candidate is None:
        return True
    entry = history.rejections.get(candidate.version)
    if entry is None or requested_at is None or history.is_vetoed(candidate.version):
        return False
    return parse_timestamp(entry.time) < requested_at


def logged_candidate(version: str, base: str, history: History, entries: Sequence[LogEntry]) -> Candidate | None:
    """Returns a version as the log decided about it, or none where the gate decides.

    The reason that a person gave stays in the log: statuses and events name the person only.
    """
    if version in history.rejections:
        entry = history.rejections[version]
        reason = f"{entry.author} rejected it" if history.is_vetoed(version) else entry.reason
        return Candidate(version, Verdict.REJECT, reason, is_rejected=True)
    if version in history.promoted_versions:
        if version not in history.lineage:
            return Candidate(version, Verdict.SUPERSEDED, _roll_back_reason(entries), is_rolled_back=True)
        promotion = promotion_entry(version, entries)
        return Candidate(version, Verdict.PROMOTE, promotion.reason if promotion else "")
    has_other_base = base != (history.champion or "")  # a base that is the champion again: the gate decides again
    if has_other_base and version in history.superseding_entries:
        return Candidate(version, Verdict.SUPERSEDED, history.superseding_entries[version].reason)
    return None


def promotion_entry(version: str, entries: Sequence[LogEntry]) -> LogEntry | None:
    """Returns the entry by which a version became champion, or none."""
    return next((entry for entry in entries if entry.kind is EntryKind.PROMOTE and entry.subject == version), None)


def _roll_back_reason(entries: Sequence[LogEntry]) -> str:
    kinds = (EntryKind.ROLL_BACK, EntryKind.WITHDRAW)
    entry = next((entry for entry in reversed(entries) if entry.kind in kinds), None)
    if entry is None:
        return ""
    action = "withdrew" if entry.kind is EntryKind.WITHDRAW else "rolled back to"
    return f"{entry.author} {action} {entry.subject[:19]}"
