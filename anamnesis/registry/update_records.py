"""Which version an update's input gave: written once, the first result wins."""

from anamnesis.records import InputError, IntegrityError, UpdateRecord, hex_of
from anamnesis.registry.versions import version_key
from anamnesis.storage.documents import load, write_once
from anamnesis.storage.store import MissingError, Store


def update_key(digest: str) -> str:
    """Returns where the record of an update's input lies."""
    return f"updates/{hex_of(digest)}.json"


def record_update(store: Store, record: UpdateRecord) -> UpdateRecord:
    """Records the result of an update, whose version must be stored.

    Returns:
        The record that counts: this one, or that of an attempt that ended earlier.

    Raises:
        InputError: the version is not stored.
    """
    if not store.exists(version_key(record.version)):
        raise InputError(f"{store.url} has no version {record.version}: store it before its update is recorded")
    return _checked(write_once(store, update_key(record.input), record), record.input)


def find_update(store: Store, digest: str) -> UpdateRecord | None:
    """Returns what the input ``digest`` gave, or none when no attempt has ended."""
    key = update_key(digest)
    try:
        data = store.get(key)
    except MissingError:
        return None
    return _checked(load(UpdateRecord, data, key), digest)


def list_updates(store: Store) -> list[UpdateRecord]:
    """Returns all records, sorted by input."""
    keys = [info.key for info in store.list("updates/")]
    return [load(UpdateRecord, store.get(key), key) for key in keys]


def _checked(record: UpdateRecord, digest: str) -> UpdateRecord:
    if record.input != digest:
        raise IntegrityError(f"{update_key(digest)}: is the record of {record.input}; its bytes were changed")
    return record
