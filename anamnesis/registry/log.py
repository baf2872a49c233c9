"""The append-only log of decisions: a hash chain. A conditional write decides which writer gets the next number."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from anamnesis.records import ConflictError, Decision, EntryKind, InputError, LogEntry, RecordedApproval
from anamnesis.records.timestamps import Clock, format_timestamp, utc_now
from anamnesis.registry.history import History
from anamnesis.registry.log_entries import dump_entry, entry_key
from anamnesis.registry.log_position import LogPosition
from anamnesis.registry.log_reader import LogState, reader_of
from anamnesis.registry.registry_store import signing_of
from anamnesis.storage.store import Store

MAXIMUM_ATTEMPTS = 10_000


def random_nonce() -> str:
    """Returns 128 random bits in hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class EntryProposal:
    """A proposed entry; the fields are those of ``LogEntry``."""

    kind: EntryKind
    subject: str
    author: str
    reason: str
    decision: Decision | None = None
    deadline: str = ""
    approval: RecordedApproval | None = None
    site: str = ""
    replaced_subject: str = ""

    def __post_init__(self) -> None:
        if not self.author.strip():
            raise InputError(
                f"{self.kind.value} {self.subject}: no author given; name the person or the service account, "
                "on the command line with --author"
            )
        if self.kind is EntryKind.PROMOTE and (self.decision is None or self.decision.candidate != self.subject):
            raise InputError(
                f"promote {self.subject}: the log entry has no decision on this version; "
                "this is a fault of the program, which must call record_decision: report it with the log"
            )


class Log:
    """The log of one registry. Every use of a store with a cache shares the entries that were read.

    Args:
        store: store of the registry.
        clock: returns the time for new entries.
        nonce: returns a new random text for each new entry.
    """

    def __init__(self, store: Store, clock: Clock = utc_now, nonce: Callable[[], str] = random_nonce) -> None:
        self._store, self._clock, self._nonce = store, clock, nonce
        self._reader = reader_of(store)

    def head(self) -> LogPosition:
        """Returns the position of the last entry; where no entry was read yet, it reads only this one."""
        return self._reader.head()

    def entries(self) -> tuple[LogEntry, ...]:
        """Returns all entries.

        Raises:
            IntegrityError: an entry is missing, was changed, or does not continue the entry before it.
        """
        return self._reader.entries()

    def history(self) -> History:
        """Returns the history after all entries; raises the errors of ``entries``."""
        return self.state().history

    def state(self) -> LogState:
        """Returns entries, head and history of the same moment; raises the errors of ``entries``."""
        return self._reader.state(signing_of(self._store))

    def append(
        self,
        kind: EntryKind,
        subject: str,
        author: str,
        reason: str,
        decision: Decision | None = None,
        deadline: str = "",
    ) -> LogEntry:
        """Appends an entry without looking at the history, and returns it. See ``append_if`` for a condition."""
        proposal = EntryProposal(
            kind=kind, subject=subject, author=author, reason=reason, decision=decision, deadline=deadline
        )
        for _ in range(MAXIMUM_ATTEMPTS):
            if entry := self._put_entry(self.head(), proposal):
                return entry
        raise _lost_race_error(self._store)

    def append_if(self, propose: Callable[[History], EntryProposal | None]) -> LogEntry | None:
        """Appends the entry that ``propose`` returns for the history before it; calls it again after a lost race.

        Args:
            propose: takes the history; returns the entry to append, or none. It may raise an error to refuse.

        Returns:
            The new entry, or none.
        """
        for _ in range(MAXIMUM_ATTEMPTS):
            state = self.state()
            proposal = propose(state.history)
            if proposal is None:
                return None
            if entry := self._put_entry(state.head, proposal):
                return entry
        raise _lost_race_error(self._store)

    def _put_entry(self, head: LogPosition, proposal: EntryProposal) -> LogEntry | None:
        entry = LogEntry(
            number=head.number + 1,
            previous_digest=head.digest,
            nonce=self._nonce(),
            kind=proposal.kind,
            subject=proposal.subject,
            author=proposal.author,
            reason=proposal.reason,
            time=format_timestamp(self._clock()),
            decision=proposal.decision,
            deadline=proposal.deadline,
            approval=proposal.approval,
            site=proposal.site,
            replaced_subject=proposal.replaced_subject,
        )
        entry = signing_of(self._store).sign(entry)
        return entry if self._store.put_if_absent(entry_key(entry.number), dump_entry(entry)) else None


def _lost_race_error(store: Store) -> ConflictError:
    return ConflictError(
        f"{store.url}: {MAXIMUM_ATTEMPTS} attempts to write the next log entry failed, because other writers were "
        "faster; try again"
    )
