"""The stored form of records: canonical JSON. Equal records have equal bytes, and every changed byte is detected."""

import dataclasses
import json
from typing import Any, TypeVar, cast

from anamnesis.records import InputError, IntegrityError, canonical_json, decode, encode
from anamnesis.storage.store import Store

T = TypeVar("T")


def dump_record(record: object) -> bytes:
    """Returns the stored form of a record, which has a field ``schema``."""
    return canonical_json(encode(record))


def load_record(kind: type[T], data: bytes, location: str) -> T:
    """Reads the stored form of a record of type ``kind``.

    Args:
        kind: a data class with a field ``schema``, whose default is the schema that this release reads.
        data: the stored bytes.
        location: name of the stored object, for messages.

    Raises:
        IntegrityError: ``data`` differs from the form that ``dump_record`` writes.
        InputError: an older or newer release wrote the record.
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
        raise IntegrityError(
            f"{location}: its bytes were changed, they are not JSON ({error}); restore it from a backup"
        ) from None
    if canonical != data or not isinstance(value, dict):
        raise _changed_form_error(location)
    return value


def restore_record(kind: type[T], fields: dict[str, object], location: str) -> T:
    """Returns the record with these fields; raises the errors of ``load_record``."""
    check_schema(kind, fields.get("schema"), location)
    try:
        record = decode(kind, fields)
    except InputError as error:
        raise IntegrityError(f"{location}: its bytes were changed: {error}; restore it from a backup") from None
    if dump_record(record) != canonical_json(fields):
        raise _changed_form_error(location)
    return record


def check_schema(kind: Any, schema: object, location: str) -> None:
    """Checks the schema of a stored document of type ``kind``.

    Raises:
        IntegrityError: the schema is not a number.
        InputError: an older or newer release wrote the document.
    """
    current = cast(int, next(field.default for field in dataclasses.fields(kind) if field.name == "schema"))
    if schema == current:
        return
    if not isinstance(schema, int):
        raise IntegrityError(
            f"{location}: its bytes were changed, the field 'schema' is not a number; restore it from a backup"
        )
    advice = (
        "use a newer release of Anamnesis"
        if schema > current
        else "start a new registry and store, or use the release of Anamnesis that wrote this object"
    )
    raise InputError(
        f"{location}: found schema {schema} of {kind.__name__}, this release reads schema {current}; {advice}"
    )


def _changed_form_error(location: str) -> IntegrityError:
    return IntegrityError(
        f"{location}: its bytes were changed, they are not the canonical JSON of a record; restore it from a backup"
    )


def write_once(store: Store, key: str, record: T) -> T:
    """Writes ``record`` unless a record is stored; returns the stored record, which is the first."""
    if store.put_if_absent(key, dump_record(record)):
        return record
    return load_record(type(record), store.get(key), key)
