"""The append-only log of decisions: a hash chain whose numbers are won by writing if absent."""

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
    canonical_json,
)
from anamnesis.records.timestamps import Clock, format_timestamp, utc_now
from anamnesis.registry.history import History, build_history
from anamnesis.storage.documents import dump_record, parse_document, restore_record
from anamnesis.storage.store import Store

LOG_PREFIX = "log/"
MAXIMUM_ATTEMPTS = 10_000


def random_nonce() -> str:
    """Returns 128 random bits in hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The last entry; of an empty log, number 0 and no digest. Written ``<number>:<digest>``.

    Kept outside the registry, it later proves that nothing up to it was changed or cut off.
    """

    number: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def of_entry(cls, entry: LogEntry) -> "LogPosition":
        """Returns the head of a log that ends with ``entry``."""
        return cls(entry.number, entry.digest)

    @classmethod
    def parse(cls, text: str) -> "LogPosition":
        """Reads ``<number>:<digest>``.

        Raises:
            InputError: it is something else.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit()):
            raise InputError(f"head {text!r}: expected <number>:sha256:<64 hex digits>")
        return cls(int(number), digest)


@dataclass(frozen=True, slots=True)
class EntryProposal:
    """What somebody wants to append; the fields are those of ``LogEntry``."""

    kind: EntryKind
    subject: str
    author: str
    reason: str
    decision: Decision | None = None
    deadline: str = ""

    def __post_init__(self) -> None:
        if not self.author.strip():
            raise InputError(f"{self.kind.value} {self.subject}: says not who; name the person or the service account")
        if self.kind is EntryKind.PROMOTE and (self.decision is None or self.decision.candidate != self.subject):
            raise InputError(f"promote {self.subject}: needs the decision on it; use settle")


class Log:
    """The log of one registry. What was read once is kept, so one object is for one thread.

    Args:
        store: the registry's.
        clock: tells the time that entries bear.
        nonce: makes a new random text for each entry.
    """

    def __init__(self, store: Store, clock: Clock = utc_now, nonce: Callable[[], str] = random_nonce) -> None:
        self._store, self._clock, self._nonce = store, clock, nonce
        self._read_entries: list[LogEntry] = []

    def head(self) -> LogPosition:
        """Returns the last entry's number and digest; reads that entry alone."""
        numbers = self._unread_numbers()
        return LogPosition.of_entry(read_entry(self._store, numbers[-1])) if numbers else self._last_read_head()

    def entries(self) -> tuple[LogEntry, ...]:
        """Returns all entries.

        Raises:
            IntegrityError: one is missing, changed, or does not continue the one before.
        """
        for number in self._unread_numbers():
            entry = read_entry(self._store, number)
            if entry.previous_digest != self._last_read_head().digest:
                raise IntegrityError(f"log entry {number} does not continue entry {number - 1}: one was rewritten")
            self._read_entries.append(entry)
        return tuple(self._read_entries)

    def append(
        self,
        kind: EntryKind,
        subject: str,
        author: str,
        reason: str,
        decision: Decision | None = None,
        deadline: str = "",
    ) -> LogEntry:
        """Appends an entry whatever the log says, and returns it. What needs a state of things: ``append_if``."""
        proposal = EntryProposal(kind, subject, author, reason, decision, deadline)
        for _ in range(MAXIMUM_ATTEMPTS):
            if entry := self._put_entry(self.head(), proposal):
                return entry
        raise _lost_race_error(self._store)

    def append_if(self, propose: Callable[[History], EntryProposal | None]) -> LogEntry | None:
        """Appends what ``propose`` wants, seeing exactly the entries before it; asked anew after each lost race.

        Args:
            propose: given what the log says, returns what to append, or none for nothing; may raise to refuse.

        Returns:
            The entry, or none.
        """
        for _ in range(MAXIMUM_ATTEMPTS):
            proposal = propose(build_history(self.entries()))
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
        )
        return entry if self._store.put_if_absent(entry_key(entry.number), dump_entry(entry)) else None

    def _unread_numbers(self) -> list[int]:
        """Returns the numbers after what was read, found by listing."""
        read_count = len(self._read_entries)
        after = entry_key(read_count) if read_count else ""
        numbers = [
            number
            for info in self._store.list(LOG_PREFIX, after)
            if (number := parse_entry_number(info.key)) is not None
        ]
        for expected_number, number in zip(count(read_count + 1), numbers, strict=False):
            if number != expected_number:
                raise IntegrityError(f"log entry {expected_number} is missing; run 'anamnesis registry verify'")
        return numbers


def entry_key(number: int) -> str:
    """Returns where an entry lies."""
    return f"{LOG_PREFIX}{number:020d}.json"


def parse_entry_number(key: str) -> int | None:
    """Returns the number of the entry that lies there, or none when no entry has such a key."""
    digits = key.removeprefix(LOG_PREFIX).removesuffix(".json")
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    return number if number and entry_key(number) == key else None


def dump_entry(entry: LogEntry) -> bytes:
    """Returns the stored form: canonical JSON of all fields and of ``digest``."""
    return canonical_json({**parse_document(dump_record(entry), "entry"), "digest": entry.digest})


def read_entry(store: Store, number: int) -> LogEntry:
    """Reads one entry; its place in the chain is for the caller to check.

    Raises:
        MissingError: there is none.
        IntegrityError: its bytes are not what was written.
    """
    location = f"log entry {number}"
    fields = parse_document(store.get(entry_key(number)), location)
    digest = fields.pop("digest", None)
    entry = restore_record(LogEntry, fields, location)
    if entry.digest != digest:
        raise IntegrityError(f"{location}: its bytes were changed, they no longer have its digest")
    if entry.number != number:
        raise IntegrityError(f"{location}: holds entry {entry.number}")
    return entry


def _lost_race_error(store: Store) -> ConflictError:
    return ConflictError(f"{store.url}: lost the race for the next log entry {MAXIMUM_ATTEMPTS} times; try again")
