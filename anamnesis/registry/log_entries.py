"""The stored form of log entries: one object for each, in canonical JSON with its digest."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anamnesis.records import (
    Decision,
    EntryKind,
    InputError,
    IntegrityError,
    LogEntry,
    RecordedApproval,
    Signature,
    canonical_json,
    decode,
    digest_bytes,
    digest_json,
)
from anamnesis.storage.documents import dump_record, parse_document, restore_record
from anamnesis.storage.store import Store

LOG_PREFIX = "log/"

_SCHEMA = next(field.default for field in dataclasses.fields(LogEntry) if field.name == "schema")
_PART_TYPES: Mapping[str, type[Any]] = {"decision": Decision, "signature": Signature, "approval": RecordedApproval}


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry with its digest, which is expensive to compute.

    Attributes:
        entry: the entry.
        digest: of the entry.
    """

    entry: LogEntry
    digest: str


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
    return parse_entry(store.get(entry_key(number)), number).entry


def parse_entry(data: bytes, number: int) -> StoredEntry:
    """Reads the stored form of the entry with this number; raises the errors of ``read_entry``."""
    location = f"log entry {number}"
    fields = parse_document(data, location)
    digest = fields.pop("digest", None)
    entry = restore_record(LogEntry, fields, location)
    if digest_json(fields) != digest:
        raise IntegrityError(
            f"{location}: its bytes were changed, they do not match its digest; restore it from a backup"
        )
    if entry.number != number:
        raise IntegrityError(f"{location}: the object holds entry {entry.number}; restore the object from a backup")
    return StoredEntry(entry, str(digest))


def parse_chained_entry(data: bytes, number: int) -> StoredEntry:
    """Reads an entry whose digest the caller knows or compares with a chain; faster than ``parse_entry``.

    The digest is that of the bytes, so bytes that match it are those of the entry: their form need not be checked.

    Raises:
        IntegrityError: the bytes are not those of an entry with this number and the digest in them.
    """
    try:
        fields = json.loads(data)
        digest = fields.pop("digest")
        content = data.replace(f'"digest":"{digest}",'.encode(), b"", 1)
        parts = {name: decode(kind, fields[name]) for name, kind in _PART_TYPES.items() if fields[name] is not None}
        entry = LogEntry(**{**fields, **parts, "kind": EntryKind(fields["kind"])})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InputError):
        raise IntegrityError(f"log entry {number}: its bytes were changed, they are not those of an entry") from None
    if digest_bytes(content) != digest or entry.number != number or entry.schema != _SCHEMA:
        raise IntegrityError(f"log entry {number}: its bytes were changed, they do not match its digest")
    return StoredEntry(entry, digest)
