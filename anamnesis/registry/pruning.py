"""What may be deleted: checkpoints of finished updates, blobs that nothing names, leftovers of killed writers."""

from collections.abc import Sequence
from datetime import timedelta

from anamnesis.records import digest_hex
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.update_records import list_update_records
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.storage.store import ObjectInfo, Store

CHECKPOINTS = "checkpoints/"
GRACE_PERIOD = timedelta(days=1)
"""Younger blobs and temporary files may belong to somebody who is writing a version just now."""


def find_prunable(store: Store, clock: Clock = utc_now, grace: timedelta = GRACE_PERIOD) -> tuple[ObjectInfo, ...]:
    """Returns what may be deleted, and deletes nothing: the dry run.

    A checkpoint may go when its update is recorded. A blob that no version names, and what a killed writer left, may
    go when it is older than ``grace``, which must be longer than writing one version takes.

    Raises:
        IntegrityError: a version or an update cannot be read, so that one cannot know what it needs.
    """
    cutoff = (clock() - grace).timestamp()
    finished_inputs = {digest_hex(record.input_digest) for record in list_update_records(store)}
    checkpoints = [info for info in store.list(CHECKPOINTS) if info.key.split("/")[1] in finished_inputs]
    blobs = [info for info in store.list("blobs/") if info.modified < cutoff]
    # Versions are read after blobs are listed: a blob that is listed and becomes part of a version meanwhile is kept.
    needed_keys = {
        blob_key(part) for digest in list_versions(store) for part in read_version(store, digest).parts.values()
    }
    unfinished_writes = [info for info in store.list_unfinished_writes() if info.modified < cutoff]
    return (*checkpoints, *(info for info in blobs if info.key not in needed_keys), *unfinished_writes)


def prune(
    store: Store, selected_objects: Sequence[ObjectInfo], clock: Clock = utc_now, grace: timedelta = GRACE_PERIOD
) -> tuple[ObjectInfo, ...]:
    """Deletes what ``prunable`` returned, as far as it still may be deleted.

    Returns:
        What was deleted.
    """
    prunable_objects = set(find_prunable(store, clock, grace))
    deleted_objects = tuple(info for info in selected_objects if info in prunable_objects)
    for info in deleted_objects:
        store.delete(info.key)
    return deleted_objects
