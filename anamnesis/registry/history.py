"""What the log says, as a fold over its entries. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from anamnesis.records import EntryKind, LogEntry


@dataclass(frozen=True, slots=True)
class History:
    """The state of a registry after some entries. Mappings are keyed by the entry's subject.

    Attributes:
        champion: digest of the version in use, or none.
        promoted: digests of every version that ever was champion, in the order of their promotion.
        bases: promoted version -> what it was trained from.
        approvals: version -> the first approval by a person.
        rejected: version -> the rejection that stands; a person's is final, the gate's lasts until a promotion.
        superseded: version -> the last entry that found its base no longer champion.
        claims: content of a claim -> its last entry.
        ignored: entries that the rules do not allow, which changed nothing.
    """

    champion: str | None = None
    promoted: tuple[str, ...] = ()
    bases: Mapping[str, str | None] = field(default_factory=dict)
    approvals: Mapping[str, LogEntry] = field(default_factory=dict)
    rejected: Mapping[str, LogEntry] = field(default_factory=dict)
    superseded: Mapping[str, LogEntry] = field(default_factory=dict)
    claims: Mapping[str, LogEntry] = field(default_factory=dict)
    ignored: tuple[LogEntry, ...] = ()

    @property
    def lineage(self) -> tuple[str, ...]:
        """The champion, what it was trained from, and so on."""
        chain: list[str] = []
        version = self.champion
        while version is not None and version in self.bases:
            chain.append(version)
            version = self.bases[version]
        return tuple(chain)

    @property
    def rolled_back(self) -> tuple[str, ...]:
        """The promoted versions that the champion does not build on."""
        return tuple(digest for digest in self.promoted if digest not in self.lineage)

    def vetoed(self, version: str) -> bool:
        """Returns whether a person has rejected the version."""
        return version in self.rejected and self.rejected[version].decision is None


def fold(entries: Iterable[LogEntry]) -> History:
    """Returns what the entries say, read in order.

    The rules hold here, not only where entries are made: a promotion whose base is not the champion at that moment, or
    of a version that was promoted or vetoed before, a roll back to what was never promoted, a rejection of what was
    promoted or vetoed and an approval of what was vetoed change nothing.
    """
    history = History()
    for entry in entries:
        history = _STEPS[entry.kind](history, entry) or replace(history, ignored=(*history.ignored, entry))
    return history


def _claim(history: History, entry: LogEntry) -> History | None:
    return replace(history, claims={**history.claims, entry.subject: entry})


def _approve(history: History, entry: LogEntry) -> History | None:
    if history.vetoed(entry.subject):
        return None
    return replace(history, approvals={entry.subject: entry, **history.approvals})


def _promote(history: History, entry: LogEntry) -> History | None:
    decision, version = entry.decision, entry.subject
    if decision is None or decision.candidate != version or decision.base != history.champion:
        return None
    if version in history.promoted or history.vetoed(version):
        return None
    return replace(
        history,
        champion=version,
        promoted=(*history.promoted, version),
        bases={**history.bases, version: decision.base},
        rejected=_without(history.rejected, version),
        superseded=_without(history.superseded, version),
    )


def _reject(history: History, entry: LogEntry) -> History | None:
    if entry.subject in history.promoted or history.vetoed(entry.subject):
        return None
    return replace(history, rejected={**history.rejected, entry.subject: entry})


def _supersede(history: History, entry: LogEntry) -> History | None:
    if entry.subject in history.promoted:
        return None
    return replace(history, superseded={**history.superseded, entry.subject: entry})


def _roll_back(history: History, entry: LogEntry) -> History | None:
    if entry.subject not in history.promoted:
        return None
    return replace(history, champion=entry.subject)


_STEPS: Mapping[EntryKind, Callable[[History, LogEntry], History | None]] = {
    EntryKind.CLAIM: _claim,
    EntryKind.APPROVE: _approve,
    EntryKind.PROMOTE: _promote,
    EntryKind.REJECT: _reject,
    EntryKind.SUPERSEDE: _supersede,
    EntryKind.ROLL_BACK: _roll_back,
}


def _without(entries: Mapping[str, LogEntry], key: str) -> Mapping[str, LogEntry]:
    return {name: entry for name, entry in entries.items() if name != key}
