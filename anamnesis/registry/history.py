"""The history of a registry: the fold over the entries of its log. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from anamnesis.records import EntryKind, LogEntry, short_digest


@dataclass(frozen=True, slots=True)
class History:
    """The state of a registry after some entries. The keys of the mappings are subjects of entries.

    Attributes:
        champion: digest of the version in use, or none.
        promoted_versions: digests of all versions that are or were champion, in the order of their promotion.
        bases: promoted version -> the version that it was trained from.
        approvals: version -> the first approval by a person; a roll back or a withdrawal ends all of them.
        rejections: version -> the current rejection; a person's is final, the gate's lasts until a promotion.
        superseding_entries: version -> the last entry that recorded it as superseded.
        claims: digest of the content of a claim -> its last entry.
        withdrawal: the entry by which a person withdrew the champion, until a roll back; else none.
        recorded_approvals: uid of an UpdateApproval -> the entry that records it.
        replaced_test_sets: digest of a test set -> the entry that replaced it.
        ignored_entries: entries that break the rules and have no effect.
    """

    champion: str | None = None
    promoted_versions: tuple[str, ...] = ()
    bases: Mapping[str, str | None] = field(default_factory=dict)
    approvals: Mapping[str, LogEntry] = field(default_factory=dict)
    rejections: Mapping[str, LogEntry] = field(default_factory=dict)
    superseding_entries: Mapping[str, LogEntry] = field(default_factory=dict)
    claims: Mapping[str, LogEntry] = field(default_factory=dict)
    withdrawal: LogEntry | None = None
    recorded_approvals: Mapping[str, LogEntry] = field(default_factory=dict)
    replaced_test_sets: Mapping[str, LogEntry] = field(default_factory=dict)
    ignored_entries: tuple[LogEntry, ...] = ()

    @property
    def lineage(self) -> tuple[str, ...]:
        """The champion, its base, the base of its base, and so on."""
        chain: list[str] = []
        version = self.champion
        while version is not None and version in self.bases:
            chain.append(version)
            version = self.bases[version]
        return tuple(chain)

    @property
    def rolled_back_versions(self) -> tuple[str, ...]:
        """The promoted versions that the champion does not build on."""
        return tuple(digest for digest in self.promoted_versions if digest not in self.lineage)

    def earlier_test_set(self, test_set: str) -> str:
        """Returns the digest of the test set that this one replaced, or empty."""
        return next((old for old, entry in self.replaced_test_sets.items() if entry.subject == test_set), "")

    def is_vetoed(self, version: str) -> bool:
        """Returns whether a person has rejected the version."""
        return version in self.rejections and self.rejections[version].decision is None


def describe_withdrawal(entry: LogEntry) -> str:
    """Returns who withdrew the champion, and how to use a version again. The person's reason stays in the log."""
    return (
        f"{entry.author} withdrew the champion {short_digest(entry.subject)} at {entry.time} in log entry "
        f"{entry.number}; no version is in use until a person rolls back to an earlier one"
    )


def build_history(entries: Iterable[LogEntry], is_signed: Callable[[LogEntry], bool] = lambda _: True) -> History:
    """Returns the history after the entries, read in order.

    The champion is a fold over all entries, so that every reader has the same. Where records are signed, the word of a
    person counts for the gate only with a signature: an approval or a new test set that somebody else wrote has no
    effect.

    The rules apply here as well as at the writer. These entries have no effect: a promotion whose base is not the
    champion at that moment, or while the champion is withdrawn; a promotion of a version that was promoted or vetoed
    before; a roll back to a version that was never promoted; a rejection of a version that was promoted or vetoed; an
    approval of a vetoed version; a withdrawal without a champion.
    """
    history = History()
    for entry in entries:
        if entry.kind in _NEED_A_SIGNATURE and not is_signed(entry):
            history = replace(history, ignored_entries=(*history.ignored_entries, entry))
            continue
        if entry.approval and is_signed(entry):
            recorded_approvals = {entry.approval.uid: entry, **history.recorded_approvals}
            history = replace(history, recorded_approvals=recorded_approvals)
        history = _APPLY_BY_KIND[entry.kind](history, entry) or replace(
            history, ignored_entries=(*history.ignored_entries, entry)
        )
    return history


def _apply_claim(history: History, entry: LogEntry) -> History | None:
    return replace(history, claims={**history.claims, entry.subject: entry})


def _apply_approval(history: History, entry: LogEntry) -> History | None:
    if history.is_vetoed(entry.subject):
        return None
    return replace(history, approvals={entry.subject: entry, **history.approvals})


def _apply_promotion(history: History, entry: LogEntry) -> History | None:
    decision, version = entry.decision, entry.subject
    if decision is None or decision.candidate != version or decision.base != history.champion:
        return None
    if history.withdrawal:
        return None
    if version in history.promoted_versions or history.is_vetoed(version):
        return None
    return replace(
        history,
        champion=version,
        promoted_versions=(*history.promoted_versions, version),
        bases={**history.bases, version: decision.base},
        rejections=_drop_key(history.rejections, version),
        superseding_entries=_drop_key(history.superseding_entries, version),
    )


def _apply_rejection(history: History, entry: LogEntry) -> History | None:
    if entry.subject in history.promoted_versions or history.is_vetoed(entry.subject):
        return None
    return replace(history, rejections={**history.rejections, entry.subject: entry})


def _apply_supersession(history: History, entry: LogEntry) -> History | None:
    if entry.subject in history.promoted_versions:
        return None
    return replace(history, superseding_entries={**history.superseding_entries, entry.subject: entry})


def _apply_roll_back(history: History, entry: LogEntry) -> History | None:
    if entry.subject not in history.promoted_versions:
        return None
    if entry.subject == history.champion:
        return history
    return replace(history, champion=entry.subject, withdrawal=None, approvals={})


def _apply_withdrawal(history: History, entry: LogEntry) -> History | None:
    return replace(history, champion=None, withdrawal=entry, approvals={}) if history.champion else None


def _apply_test_set(history: History, entry: LogEntry) -> History | None:
    if not entry.replaced_subject or entry.replaced_subject in history.replaced_test_sets:
        return None
    return replace(history, replaced_test_sets={**history.replaced_test_sets, entry.replaced_subject: entry})


def _keep_history(history: History, _: LogEntry) -> History | None:
    return history


_NEED_A_SIGNATURE = (EntryKind.APPROVE, EntryKind.ISSUE_TEST_SET, EntryKind.REKEY)
"""Kinds that the gate's input depends on."""
_APPLY_BY_KIND: Mapping[EntryKind, Callable[[History, LogEntry], History | None]] = {
    EntryKind.CLAIM: _apply_claim,
    EntryKind.APPROVE: _apply_approval,
    EntryKind.PROMOTE: _apply_promotion,
    EntryKind.REJECT: _apply_rejection,
    EntryKind.SUPERSEDE: _apply_supersession,
    EntryKind.ROLL_BACK: _apply_roll_back,
    EntryKind.ADOPT: _keep_history,
    EntryKind.JOIN: _keep_history,
    EntryKind.WITHDRAW: _apply_withdrawal,
    EntryKind.NO_EFFECT: _keep_history,
    EntryKind.ISSUE_TEST_SET: _apply_test_set,
    EntryKind.REKEY: _keep_history,
}


def _drop_key(entries: Mapping[str, LogEntry], key: str) -> Mapping[str, LogEntry]:
    return {name: entry for name, entry in entries.items() if name != key}
