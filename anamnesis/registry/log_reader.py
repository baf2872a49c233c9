"""Reads the log of a registry, each entry once: a new process from packs, a running one only what is new."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import RLock

from anamnesis.records import AnamnesisError, IntegrityError, LogEntry, RefusedError
from anamnesis.registry.history import History, HistoryFold, build_history
from anamnesis.registry.log_entries import LOG_PREFIX, StoredEntry, entry_key, parse_entry, parse_entry_number
from anamnesis.registry.log_packs import PACK_SIZE, list_pack_ends, read_pack, write_pack
from anamnesis.registry.log_position import LogPosition
from anamnesis.registry.registry_store import RegistryStore, signing_of
from anamnesis.registry.signing import Signing
from anamnesis.storage.cached import CachedStore
from anamnesis.storage.store import MissingObjectError, ObjectInfo, Store

_READERS = 8
"""Requests at once: most of the time of a request to a distant bucket is waiting."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogState:
    """A log at one moment.

    Attributes:
        entries: all of them.
        head: position of the last one.
        history: what they add up to.
    """

    entries: tuple[LogEntry, ...]
    head: LogPosition
    history: History


class LogReader:
    """The entries of one log that this process has read. Every call is safe from any thread.

    Args:
        store: store of the registry.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, RLock()
        self._may_write_packs = True
        self._entries: list[LogEntry] = []
        self._entries_tuple: tuple[LogEntry, ...] = ()
        self._missing_packs: dict[int, str] = {}  # number -> digest of the last entry
        self._head, self._head_etag = LogPosition(), ""
        self._fold, self._folded_count = HistoryFold(), 0
        self._signing = Signing()

    def head(self) -> LogPosition:
        """Returns the position of the last entry; a process that has read no entry reads only this one.

        Raises:
            IntegrityError: an entry is missing or was changed.
        """
        with self._lock:
            if self._entries:
                self._read_new_entries()
                return self._head
            _, infos = self._list_after_packs()
            if not infos:
                return LogPosition()
            return _position(self._read_entry(infos[-1][0]))

    def entries(self) -> tuple[LogEntry, ...]:
        """Returns all entries.

        Raises:
            IntegrityError: an entry is missing, was changed, or does not continue the entry before it.
        """
        with self._lock:
            self._read_new_entries()
            return self._entries_read()

    def state(self, signing: Signing) -> LogState:
        """Returns the log as it is now, where the signatures count that ``signing`` lists; raises as ``entries``."""
        with self._lock:
            self._read_new_entries()
            return LogState(self._entries_read(), self._head, self._fold_entries(signing))

    def history_of(self, entries: tuple[LogEntry, ...], signing: Signing) -> History:
        """Returns the history after entries that this reader has returned; see ``state``."""
        with self._lock:
            if entries is not self._entries_read():
                return build_history(entries, signing.is_signed)
            return self._fold_entries(signing)

    def _fold_entries(self, signing: Signing) -> History:
        if self._signing != signing:
            self._start_fold(signing)
        for entry in self._entries[self._folded_count :]:
            self._fold.add(entry)
        self._folded_count = len(self._entries)
        return self._fold.history()

    def _forget(self) -> None:
        self._entries, self._entries_tuple, self._missing_packs = [], (), {}
        self._head, self._head_etag = LogPosition(), ""
        self._start_fold(self._signing)

    def _start_fold(self, signing: Signing) -> None:
        self._fold, self._folded_count, self._signing = HistoryFold(signing.is_signed), 0, signing

    def _entries_read(self) -> tuple[LogEntry, ...]:
        if len(self._entries_tuple) != len(self._entries):
            self._entries_tuple = tuple(self._entries)
        return self._entries_tuple

    def _read_new_entries(self) -> None:
        try:
            infos = self._list_new() if self._entries else None
            if infos is None:  # nothing was read, or another log took the place of what was read
                self._forget()
                infos = self._read_packs()
            self._extend(infos)
        except AnamnesisError:
            self._forget()
            raise
        self._write_packs()

    def _list_new(self) -> list[tuple[int, ObjectInfo]] | None:
        """Returns the new entries; none where the last entry that was read is not there any more."""
        infos = self._list_from(self._head.number)
        if not infos or infos[0][0] != self._head.number or infos[0][1].etag != self._head_etag:
            return None
        return infos[1:]

    def _list_from(self, number: int) -> list[tuple[int, ObjectInfo]]:
        """Returns the entries from this number on.

        Raises:
            IntegrityError: one of them is missing.
        """
        after = entry_key(number - 1) if number > 1 else ""
        listing = ((parse_entry_number(info.key), info) for info in self._store.list(LOG_PREFIX, after))
        infos = [(entry_number, info) for entry_number, info in listing if entry_number is not None]
        for expected_number, (entry_number, _) in zip(count(number), infos, strict=False):
            if entry_number != expected_number:
                raise _missing_entry_error(expected_number, self._store.url)
        return infos

    def _list_after_packs(self) -> tuple[int, list[tuple[int, ObjectInfo]]]:
        """Returns the number of the last entry with a pack, or 0, and the entries from it on."""
        for number in reversed(list_pack_ends(self._store)):
            if infos := self._list_from(number):
                return number, infos
        return 0, self._list_from(1)

    def _read_packs(self) -> list[tuple[int, ObjectInfo]]:
        """Reads the entries that have packs; returns the others. A pack is proven by the entry after it."""
        last_number, infos = self._list_after_packs()
        if not last_number:
            return infos
        last = self._read_entry(last_number)
        ranges, digest = [], last.digest
        for number in range(last_number, 0, -PACK_SIZE):
            ranges.append(self._read_range(number, digest))
            digest = ranges[-1][0].entry.previous_digest
        if digest:
            raise _broken_chain_error(1)
        self._entries = [item.entry for items in reversed(ranges) for item in items]
        self._head, self._head_etag = _position(last), infos[0][1].etag
        return infos[1:]

    def _read_range(self, last_number: int, last_digest: str) -> Sequence[StoredEntry]:
        """Returns the entries that end with this one: those of the pack, or the single ones where it is not usable."""
        try:
            return read_pack(self._store, last_number, last_digest)
        except MissingObjectError:
            pass  # nobody has written it yet
        except IntegrityError as error:
            logger.warning("%s", error)
        items = list(self._read_entries(range(last_number - PACK_SIZE + 1, last_number + 1)))
        digest = items[0].entry.previous_digest
        for item in items:
            if item.entry.previous_digest != digest:
                raise _broken_chain_error(item.entry.number)
            digest = item.digest
        if digest != last_digest:
            raise _broken_chain_error(last_number + 1)
        self._missing_packs[last_number] = last_digest
        return items

    def _extend(self, infos: Sequence[tuple[int, ObjectInfo]]) -> None:
        for item, (number, info) in zip(self._read_entries([number for number, _ in infos]), infos, strict=True):
            if item.entry.previous_digest != self._head.digest:
                raise _broken_chain_error(number)
            self._entries.append(item.entry)
            self._head, self._head_etag = _position(item), info.etag
            if number % PACK_SIZE == 0:
                self._missing_packs[number] = item.digest

    def _read_entries(self, numbers: Sequence[int]) -> Iterator[StoredEntry]:
        if len(numbers) < _READERS:
            yield from map(self._read_entry, numbers)
            return
        with ThreadPoolExecutor(_READERS) as executor:
            for start in range(0, len(numbers), PACK_SIZE):
                yield from executor.map(self._read_entry, numbers[start : start + PACK_SIZE])

    def _read_entry(self, number: int) -> StoredEntry:
        try:
            return parse_entry(self._store.get(entry_key(number)), number)
        except MissingObjectError:
            raise _missing_entry_error(number, self._store.url) from None

    def _write_packs(self) -> None:
        """Writes the packs that are missing. A process without the right to write reads the log as well without.

        A store that fails for a moment, or a replica that does not lead, may write them after a later read.
        """
        for number, digest in sorted(self._missing_packs.items()) if self._may_write_packs else ():
            try:
                write_pack(self._store, self._entries[number - PACK_SIZE : number], digest)
            except AnamnesisError as error:
                self._may_write_packs = not isinstance(error, RefusedError)
                logger.debug("no pack of log entries was written: %s", error)
                return
            del self._missing_packs[number]


def reader_of(store: Store) -> LogReader:
    """Returns the reader of a registry's log: the same one for every use of a store with a cache."""
    plain_store = store.store if isinstance(store, RegistryStore) else store
    if isinstance(plain_store, CachedStore):
        return plain_store.remember(LogReader, lambda: LogReader(plain_store))
    return LogReader(plain_store)


def history_of(store: Store, entries: tuple[LogEntry, ...]) -> History:
    """Returns the history after entries that ``Log(store).entries()`` has returned; adds only what is new."""
    return reader_of(store).history_of(entries, signing_of(store))


def _position(item: StoredEntry) -> LogPosition:
    return LogPosition(item.entry.number, item.digest)


def _broken_chain_error(number: int) -> IntegrityError:
    return IntegrityError(
        f"log entry {number} does not continue log entry {number - 1}: one of them was rewritten; "
        "restore the log from a backup"
    )


def _missing_entry_error(number: int, url: str) -> IntegrityError:
    return IntegrityError(
        f"log entry {number} is missing; restore it from a backup, then run "
        f"'anamnesis registry verify --registry {url}'"
    )
