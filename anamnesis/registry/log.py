"""The append-only log of decisions: a hash chain. A conditional write decides which writer gets the next number."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from anamnesis.records import (
    ConflictError,
    Decision,
    EntryKind,
    InputError,
    IntegrityError,
    LogEntry,
    RecordedApproval,
    canonical_json,
)
from anamnesis.records.timestamps import Clock, format_timestamp, utc_now
from anamnesis.registry.history import History, build_history
from anamnesis.registry.registry_store import signing_of
from anamnesis.storage.documents import dump_record, parse_document, restore_record
from anamnesis.storage.store import Store

LOG_PREFIX = "log/"
MAXIMUM_ATTEMPTS = 10_000


def random_nonce() -> str:
    """Returns 128 random bits in hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Number and digest of the last entry; 0 and empty for an empty log. Written ``<number>:<digest>``.

    A position that is kept outside the registry proves later that no entry up to it was changed or removed.
    """

    number: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def of_entry(cls, entry: LogEntry) -> "LogPosition":
        """Returns the position of a log whose last entry is ``entry``."""
        return cls(entry.number, entry.digest)

    @classmethod
    def parse(cls, text: str) -> "LogPosition":
        """Reads ``<number>:<digest>``.

        Raises:
            InputError: ``text`` has another form.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit()):
            raise InputError(
                f"log head {text!r}: expected <number>:sha256:<64 hex digits>; "
                "use the head that an earlier 'anamnesis registry verify' printed"
            )
        return cls(int(number), digest)


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
    """The log of one registry. It keeps the entries that it has read; use each object in one thread only.

    Args:
        store: store of the registry.
        clock: returns the time for new entries.
        nonce: returns a new random text for each new entry.
    """

    def __init__(self, store: Store, clock: Clock = utc_now, nonce: Callable[[], str] = random_nonce) -> None:
        self._store, self._clock, self._nonce = store, clock, nonce
        self._read_entries: list[LogEntry] = []

    def head(self) -> LogPosition:
        """Returns the position of the last entry; reads only this entry."""
        numbers = self._unread_numbers()
        return LogPosition.of_entry(read_entry(self._store, numbers[-1])) if numbers else self._last_read_head()

    def entries(self) -> tuple[LogEntry, ...]:
        """Returns all entries.

        Raises:
            IntegrityError: an entry is missing, was changed, or does not continue the entry before it.
        """
        for number in self._unread_numbers():
            entry = read_entry(self._store, number)
            if entry.previous_digest != self._last_read_head().digest:
                raise IntegrityError(
                    f"log entry {number} does not continue log entry {number - 1}: one of them was rewritten; "
                    "restore the log from a backup"
                )
            self._read_entries.append(entry)
        return tuple(self._read_entries)

    def history(self) -> History:
        """Returns the history after all entries; raises the errors of ``entries``."""
        return build_history(self.entries(), signing_of(self._store).is_signed)

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
            proposal = propose(self.history())
            if proposal is None:
                return None
            if entry := self._put_entry(self._last_read_head(), proposal):
                return entry
        raise _lost_race_error(self._store)

    def _last_read_head(self) -> LogPosition:
        return LogPosition.of_entry(self._read_entries[-1]) if self._read_entries else LogPosition()

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

    def _unread_numbers(self) -> list[int]:
        """Returns the numbers of the entries that were not read yet, from a listing."""
        read_count = len(self._read_entries)
        after = entry_key(read_count) if read_count else ""
        numbers = [
            number
            for info in self._store.list(LOG_PREFIX, after)
            if (number := parse_entry_number(info.key)) is not None
        ]
        for expected_number, number in zip(count(read_count + 1), numbers, strict=False):
            if number != expected_number:
                raise IntegrityError(
                    f"log entry {expected_number} is missing; restore it from a backup, then run "
                    f"'anamnesis registry verify --registry {self._store.url}'"
                )
        return numbers


def entry_key(number: int) -> str:
    """Returns the key of an entry."""
    return f"{LOG_PREFIX}{number:020d}.json"


def parse_entry_number(key: str) -> int | None:
    """Returns the number of the entry with this key, or none when the key is not that of an entry."""
    digits = key.removeprefix(LOG_PREFIX).removesuffix(".json")
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    return number if number and entry_key(number) == key else None


def dump_entry(entry: LogEntry) -> bytes:
    """Returns the stored form: canonical JSON of all fields and of ``digest``."""
    return canonical_json({**parse_document(dump_record(entry), "entry"), "digest": entry.digest})


def read_entry(store: Store, number: int) -> LogEntry:
    """Reads one entry; the caller checks the chain.

    Raises:
        MissingObjectError: the entry does not exist.
        IntegrityError: the bytes of the entry were changed.
        InputError: another release wrote the entry.
    """
    location = f"log entry {number}"
    fields = parse_document(store.get(entry_key(number)), location)
    digest = fields.pop("digest", None)
    entry = restore_record(LogEntry, fields, location)
    if entry.digest != digest:
        raise IntegrityError(
            f"{location}: its bytes were changed, they do not match its digest; restore it from a backup"
        )
    if entry.number != number:
        raise IntegrityError(f"{location}: the object holds entry {entry.number}; restore the object from a backup")
    return entry


def _lost_race_error(store: Store) -> ConflictError:
    return ConflictError(
        f"{store.url}: {MAXIMUM_ATTEMPTS} attempts to write the next log entry failed, because other writers were "
        "faster; try again"
    )
