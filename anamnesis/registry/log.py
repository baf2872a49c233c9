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
from anamnesis.records.timestamps import Clock, timestamp, utc_now
from anamnesis.registry.history import History, fold
from anamnesis.storage.documents import dump, parse, restore
from anamnesis.storage.store import Store

PREFIX = "log/"
ATTEMPTS = 10_000


def random_nonce() -> str:
    """Returns 128 random bits in hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry; of an empty log, number 0 and no digest. Written ``<number>:<digest>``.

    Kept outside the registry, it later proves that nothing up to it was changed or cut off.
    """

    number: int = 0
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def at(cls, entry: LogEntry) -> "Head":
        """Returns the head of a log that ends with ``entry``."""
        return cls(entry.number, entry.digest)

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Reads ``<number>:<digest>``.

        Raises:
            InputError: it is something else.
        """
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit()):
            raise InputError(f"head {text!r}: expected <number>:sha256:<64 hex digits>")
        return cls(int(number), digest)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody wants to append; the fields are those of ``LogEntry``."""

    kind: EntryKind
    subject: str
    who: str
    why: str
    decision: Decision | None = None
    deadline: str = ""

    def __post_init__(self) -> None:
        if not self.who.strip():
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
        self._read: list[LogEntry] = []

    def head(self) -> Head:
        """Returns the last entry's number and digest; reads that entry alone."""
        numbers = self._numbers()
        return Head.at(read_entry(self._store, numbers[-1])) if numbers else self._known()

    def entries(self) -> tuple[LogEntry, ...]:
        """Returns all entries.

        Raises:
            IntegrityError: one is missing, changed, or does not continue the one before.
        """
        for number in self._numbers():
            entry = read_entry(self._store, number)
            if entry.previous != self._known().digest:
                raise IntegrityError(f"log entry {number} does not continue entry {number - 1}: one was rewritten")
            self._read.append(entry)
        return tuple(self._read)

    def append(
        self, kind: EntryKind, subject: str, who: str, why: str, decision: Decision | None = None, deadline: str = ""
    ) -> LogEntry:
        """Appends an entry whatever the log says, and returns it. What needs a state of things: ``append_if``."""
        proposal = Proposal(kind, subject, who, why, decision, deadline)
        for _ in range(ATTEMPTS):
            if entry := self._put(self.head(), proposal):
                return entry
        raise _lost(self._store)

    def append_if(self, propose: Callable[[History], Proposal | None]) -> LogEntry | None:
        """Appends what ``propose`` wants, seeing exactly the entries before it; asked anew after each lost race.

        Args:
            propose: given what the log says, returns what to append, or none for nothing; may raise to refuse.

        Returns:
            The entry, or none.
        """
        for _ in range(ATTEMPTS):
            proposal = propose(fold(self.entries()))
            if proposal is None:
                return None
            if entry := self._put(self._known(), proposal):
                return entry
        raise _lost(self._store)

    def _known(self) -> Head:
        return Head.at(self._read[-1]) if self._read else Head()

    def _put(self, head: Head, proposal: Proposal) -> LogEntry | None:
        entry = LogEntry(
            number=head.number + 1,
            previous=head.digest,
            nonce=self._nonce(),
            kind=proposal.kind,
            subject=proposal.subject,
            who=proposal.who,
            why=proposal.why,
            time=timestamp(self._clock()),
            decision=proposal.decision,
            deadline=proposal.deadline,
        )
        return entry if self._store.put_if_absent(entry_key(entry.number), dump_entry(entry)) else None

    def _numbers(self) -> list[int]:
        """Returns the numbers after what was read, found by listing."""
        known = len(self._read)
        after = entry_key(known) if known else ""
        numbers = [number for info in self._store.list(PREFIX, after) if (number := number_of(info.key)) is not None]
        for expected, number in zip(count(known + 1), numbers, strict=False):
            if number != expected:
                raise IntegrityError(f"log entry {expected} is missing; run 'anamnesis registry verify'")
        return numbers


def entry_key(number: int) -> str:
    """Returns where an entry lies."""
    return f"{PREFIX}{number:020d}.json"


def number_of(key: str) -> int | None:
    """Returns the number of the entry that lies there, or none when no entry has such a key."""
    digits = key.removeprefix(PREFIX).removesuffix(".json")
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    return number if number and entry_key(number) == key else None


def dump_entry(entry: LogEntry) -> bytes:
    """Returns the stored form: canonical JSON of all fields and of ``digest``."""
    return canonical_json({**parse(dump(entry), "entry"), "digest": entry.digest})


def read_entry(store: Store, number: int) -> LogEntry:
    """Reads one entry; its place in the chain is for the caller to check.

    Raises:
        MissingError: there is none.
        IntegrityError: its bytes are not what was written.
    """
    where = f"log entry {number}"
    fields = parse(store.get(entry_key(number)), where)
    digest = fields.pop("digest", None)
    entry = restore(LogEntry, fields, where)
    if entry.digest != digest:
        raise IntegrityError(f"{where}: its bytes were changed, they no longer have its digest")
    if entry.number != number:
        raise IntegrityError(f"{where}: holds entry {entry.number}")
    return entry


def _lost(store: Store) -> ConflictError:
    return ConflictError(f"{store.url}: lost the race for the next log entry {ATTEMPTS} times; try again")
