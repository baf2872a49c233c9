"""The history of a registry: the fold over the entries of its log. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

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
        lineage = set(self.lineage)
        return tuple(digest for digest in self.promoted_versions if digest not in lineage)

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
    """Returns the history after the entries, read in order. See ``HistoryFold``."""
    fold = HistoryFold(is_signed)
    for entry in entries:
        fold.add(entry)
    return fold.history()


class HistoryFold:
    """Adds up entries one after the other.

    The champion is a fold over all entries, so that every reader has the same. Where records are signed, the word of a
    person counts for the gate only with a signature: an approval or a new test set that somebody else wrote has no
    effect.

    The rules apply here as well as at the writer. These entries have no effect: a promotion whose base is not the
    champion at that moment, or while the champion is withdrawn; a promotion of a version that was promoted or vetoed
    before; a roll back to a version that was never promoted; a rejection of a version that was promoted or vetoed; an
    approval of a vetoed version; a withdrawal without a champion.

    Args:
        is_signed: whether the signature of an entry counts.
    """

    def __init__(self, is_signed: Callable[[LogEntry], bool] = lambda _: True) -> None:
        self._is_signed = is_signed
        self._champion: str | None = None
        self._bases: dict[str, str | None] = {}  # in the order of the promotions
        self._approvals: dict[str, LogEntry] = {}
        self._rejections: dict[str, LogEntry] = {}
        self._superseding_entries: dict[str, LogEntry] = {}
        self._claims: dict[str, LogEntry] = {}
        self._withdrawal: LogEntry | None = None
        self._recorded_approvals: dict[str, LogEntry] = {}
        self._replaced_test_sets: dict[str, LogEntry] = {}
        self._ignored_entries: list[LogEntry] = []
        self._history: History | None = History()
        self._apply_by_kind: Mapping[EntryKind, Callable[[LogEntry], bool]] = {
            EntryKind.CLAIM: self._apply_claim,
            EntryKind.APPROVE: self._apply_approval,
            EntryKind.PROMOTE: self._apply_promotion,
            EntryKind.REJECT: self._apply_rejection,
            EntryKind.SUPERSEDE: self._apply_supersession,
            EntryKind.ROLL_BACK: self._apply_roll_back,
            EntryKind.WITHDRAW: self._apply_withdrawal,
            EntryKind.ISSUE_TEST_SET: self._apply_test_set,
        }

    def add(self, entry: LogEntry) -> None:
        """Adds the next entry."""
        self._history = None
        if entry.kind in _NEED_A_SIGNATURE and not self._is_signed(entry):
            self._ignored_entries.append(entry)
            return
        if entry.approval and self._is_signed(entry):
            self._recorded_approvals.setdefault(entry.approval.uid, entry)
        apply = self._apply_by_kind.get(entry.kind)  # entries of other kinds change nothing
        if apply and not apply(entry):
            self._ignored_entries.append(entry)

    def history(self) -> History:
        """Returns the history after the entries so far; later entries do not change it."""
        if self._history is None:
            self._history = History(
                champion=self._champion,
                promoted_versions=tuple(self._bases),
                bases=self._bases.copy(),
                approvals=self._approvals.copy(),
                rejections=self._rejections.copy(),
                superseding_entries=self._superseding_entries.copy(),
                claims=self._claims.copy(),
                withdrawal=self._withdrawal,
                recorded_approvals=self._recorded_approvals.copy(),
                replaced_test_sets=self._replaced_test_sets.copy(),
                ignored_entries=tuple(self._ignored_entries),
            )
        return self._history

    def _is_vetoed(self, version: str) -> bool:
        return version in self._rejections and self._rejections[version].decision is None

    def _apply_claim(self, entry: LogEntry) -> bool:
        self._claims[entry.subject] = entry
        return True

    def _apply_approval(self, entry: LogEntry) -> bool:
        if self._is_vetoed(entry.subject):
            return False
        self._approvals.setdefault(entry.subject, entry)
        return True

    def _apply_promotion(self, entry: LogEntry) -> bool:
        decision, version = entry.decision, entry.subject
        if decision is None or decision.candidate != version or decision.base != self._champion:
            return False
        if self._withdrawal or version in self._bases or self._is_vetoed(version):
            return False
        self._champion = version
        self._bases[version] = decision.base
        self._rejections.pop(version, None)
        self._superseding_entries.pop(version, None)
        return True

    def _apply_rejection(self, entry: LogEntry) -> bool:
        if entry.subject in self._bases or self._is_vetoed(entry.subject):
            return False
        self._rejections[entry.subject] = entry
        return True

    def _apply_supersession(self, entry: LogEntry) -> bool:
        if entry.subject in self._bases:
            return False
        self._superseding_entries[entry.subject] = entry
        return True

    def _apply_roll_back(self, entry: LogEntry) -> bool:
        if entry.subject not in self._bases:
            return False
        if entry.subject != self._champion:
            self._champion, self._withdrawal = entry.subject, None
            self._approvals.clear()
        return True

    def _apply_withdrawal(self, entry: LogEntry) -> bool:
        if not self._champion:
            return False
        self._champion, self._withdrawal = None, entry
        self._approvals.clear()
        return True

    def _apply_test_set(self, entry: LogEntry) -> bool:
        if not entry.replaced_subject or entry.replaced_subject in self._replaced_test_sets:
            return False
        self._replaced_test_sets[entry.replaced_subject] = entry
        return True


_NEED_A_SIGNATURE = (EntryKind.APPROVE, EntryKind.ISSUE_TEST_SET, EntryKind.REKEY)
"""Kinds that the gate's input depends on."""
