"""Update records: the version that an update made from its input. Stored once; the first result counts."""

from anamnesis.records import InputError, IntegrityError, UpdateRecord, digest_hex
from anamnesis.registry.registry_store import load_signed, write_signed
from anamnesis.registry.versions import version_key
from anamnesis.storage.store import MissingObjectError, Store


def update_record_key(digest: str) -> str:
    """Returns the key of the record of an update's input."""
    return f"updates/{digest_hex(digest)}.json"


def write_update_record(store: Store, record: UpdateRecord) -> UpdateRecord:
    """Writes the record of an update; the version must be stored.

    Returns:
        The stored record: this one, or that of an earlier attempt.

    Raises:
        InputError: the version is not stored.
    """
    if not store.exists(version_key(record.version)):
        raise InputError(
            f"{store.url} has no version {record.version}, so the record of the update was not stored; "
            "restore the version from a backup"
        )
    return _check_input_digest(write_signed(store, update_record_key(record.input_digest), record), record.input_digest)


def find_update_record(store: Store, digest: str) -> UpdateRecord | None:
    """Returns the record of the input ``digest``, or none when no attempt has ended."""
    key = update_record_key(digest)
    try:
        record = load_signed(store, UpdateRecord, key)
    except MissingObjectError:
        return None
    return _check_input_digest(record, digest)


def list_update_records(store: Store) -> list[UpdateRecord]:
    """Returns all records, sorted by input."""
    keys = [info.key for info in store.list("updates/")]
    return [load_signed(store, UpdateRecord, key) for key in keys]


def _check_input_digest(record: UpdateRecord, digest: str) -> UpdateRecord:
    if record.input_digest != digest:
        raise IntegrityError(
            f"{update_record_key(digest)}: the object holds the record of the input {record.input_digest}; "
            "restore the object from a backup"
        )
    return record
