"""Pruning: deletes checkpoints of finished updates, unreferenced blobs, and unfinished writes of killed writers."""

from collections.abc import Sequence
from datetime import timedelta

from anamnesis.records import digest_hex
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.update_records import list_update_records
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.storage.store import ObjectInfo, Store

CHECKPOINTS = "checkpoints/"
GRACE_PERIOD = timedelta(days=1)
"""Younger blobs and temporary files may belong to a process that is writing a version."""


def find_prunable(store: Store, clock: Clock = utc_now, grace: timedelta = GRACE_PERIOD) -> tuple[ObjectInfo, ...]:
    """Returns the objects that may be deleted; deletes nothing.

    A checkpoint may be deleted when its update is recorded. An unreferenced blob and an unfinished write may be deleted
    when they are older than ``grace``, which must be longer than the time to write one version.

    Raises:
        IntegrityError: a version or an update record cannot be read, so the objects that it needs are unknown.
    """
    cutoff = (clock() - grace).timestamp()
    finished_inputs = {digest_hex(record.input_digest) for record in list_update_records(store)}
    checkpoints = [info for info in store.list(CHECKPOINTS) if info.key.split("/")[1] in finished_inputs]
    blobs = [info for info in store.list("blobs/") if info.modified < cutoff]
    # Versions are read after the blobs are listed: a listed blob that becomes part of a version in between is kept.
    needed_keys = {
        blob_key(part) for digest in list_versions(store) for part in read_version(store, digest).parts.values()
    }
    unfinished_writes = [info for info in store.list_unfinished_writes() if info.modified < cutoff]
    return (*checkpoints, *(info for info in blobs if info.key not in needed_keys), *unfinished_writes)


def prune(
    store: Store, selected_objects: Sequence[ObjectInfo], clock: Clock = utc_now, grace: timedelta = GRACE_PERIOD
) -> tuple[ObjectInfo, ...]:
    """Deletes objects that ``find_prunable`` returned, unless they are needed by now.

    Returns:
        The deleted objects.
    """
    prunable_objects = set(find_prunable(store, clock, grace))
    deleted_objects = tuple(info for info in selected_objects if info in prunable_objects)
    for info in deleted_objects:
        store.delete(info.key)
    return deleted_objects
