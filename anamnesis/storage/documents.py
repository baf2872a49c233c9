"""Records as they are stored: canonical JSON, so that equal records are equal bytes and any changed byte shows."""

import json
from typing import TypeVar

from anamnesis.records import InputError, IntegrityError, canonical_json, decode, encode
from anamnesis.storage.store import Store

T = TypeVar("T")

SCHEMA = 1


def dump_record(record: object) -> bytes:
    """Returns the stored form of a record, which has a field ``schema``."""
    return canonical_json(encode(record))


def load_record(kind: type[T], data: bytes, location: str) -> T:
    """Reads the stored form of a record of type ``kind``.

    Args:
        kind: a data class.
        data: what is stored.
        location: what is read, for messages.

    Raises:
        IntegrityError: this is not what ``dump`` wrote.
        InputError: a newer release wrote it.
    """
    return restore_record(kind, parse_document(data, location), location)


def parse_document(data: bytes, location: str) -> dict[str, object]:
    """Returns the fields of a stored record.

    Raises:
        IntegrityError: ``data`` is not the canonical JSON of an object.
    """
    try:
        value = json.loads(data)
        canonical = canonical_json(value)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{location}: not JSON ({error}); its bytes were changed") from None
    if canonical != data or not isinstance(value, dict):
        raise IntegrityError(f"{location}: not in the form in which it was written; its bytes were changed")
    return value


def restore_record(kind: type[T], fields: dict[str, object], location: str) -> T:
    """Returns the record that has these fields; raises as ``load`` does."""
    if fields.get("schema") != SCHEMA:
        raise InputError(
            f"{location}: schema {fields.get('schema')!r}, this release reads {SCHEMA}; use a newer release"
        )
    try:
        record = decode(kind, fields)
    except InputError as error:
        raise IntegrityError(f"{location}: {error}; its bytes were changed") from None
    if dump_record(record) != canonical_json(fields):
        raise IntegrityError(f"{location}: not in the form in which it was written; its bytes were changed")
    return record


def write_once(store: Store, key: str, record: T) -> T:
    """Writes ``record`` unless one is stored; returns the stored one, which is the first."""
    if store.put_if_absent(key, dump_record(record)):
        return record
    return load_record(type(record), store.get(key), key)
