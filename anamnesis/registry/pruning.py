"""What may be deleted: checkpoints of finished updates, blobs that nothing names, leftovers of killed writers."""

from collections.abc import Sequence
from datetime import timedelta

from anamnesis.records import hex_of
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.update_records import list_updates
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.storage.store import ObjectInfo, Store

CHECKPOINTS = "checkpoints/"
GRACE = timedelta(days=1)
"""Younger blobs and temporary files may belong to somebody who is writing a version just now."""


def prunable(store: Store, clock: Clock = utc_now, grace: timedelta = GRACE) -> tuple[ObjectInfo, ...]:
    """Returns what may be deleted, and deletes nothing: the dry run.

    A checkpoint may go when its update is recorded. A blob that no version names, and what a killed writer left, may
    go when it is older than ``grace``, which must be longer than writing one version takes.

    Raises:
        IntegrityError: a version or an update cannot be read, so that one cannot know what it needs.
    """
    before = (clock() - grace).timestamp()
    finished = {hex_of(record.input) for record in list_updates(store)}
    checkpoints = [info for info in store.list(CHECKPOINTS) if info.key.split("/")[1] in finished]
    blobs = [info for info in store.list("blobs/") if info.modified < before]
    # Versions are read after blobs are listed: a blob that is listed and becomes part of a version meanwhile is kept.
    needed = {blob_key(part) for digest in list_versions(store) for part in read_version(store, digest).parts.values()}
    leftovers = [info for info in store.leftovers() if info.modified < before]
    return (*checkpoints, *(info for info in blobs if info.key not in needed), *leftovers)


def prune(
    store: Store, chosen: Sequence[ObjectInfo], clock: Clock = utc_now, grace: timedelta = GRACE
) -> tuple[ObjectInfo, ...]:
    """Deletes what ``prunable`` returned, as far as it still may be deleted.

    Returns:
        What was deleted.
    """
    allowed = set(prunable(store, clock, grace))
    deleted = tuple(info for info in chosen if info in allowed)
    for info in deleted:
        store.delete(info.key)
    return deleted
