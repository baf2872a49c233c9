"""Pruning: deletes what is left of finished updates and killed writers.

Checkpoints and failures of finished updates, old failures, unreferenced blobs, and unfinished writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from anamnesis.records import RefusedError, digest_hex
from anamnesis.records.timestamps import Clock, utc_now
from anamnesis.registry.run_results import SCHEDULED_EVALUATIONS, list_update_results
from anamnesis.registry.step_failures import list_step_failures
from anamnesis.registry.update_records import list_update_records
from anamnesis.registry.versions import blob_key, list_versions, read_version
from anamnesis.storage.store import ObjectInfo, Store

CHECKPOINTS = "checkpoints/"
GRACE_PERIOD = timedelta(days=1)
"""Younger blobs and temporary files may belong to a process that is writing a version."""
FAILURE_LIFETIME = timedelta(days=90)
"""How long the failure of a run is kept whose update never gave a result."""


def find_prunable(store: Store, clock: Clock = utc_now, grace: timedelta = GRACE_PERIOD) -> tuple[ObjectInfo, ...]:
    """Returns the objects that may be deleted; deletes nothing.

    A checkpoint may be deleted when its update is recorded. The failure of a run may be deleted when its update or
    evaluation has a result, or after ``FAILURE_LIFETIME``. An unreferenced blob and an unfinished write may be deleted
    when they are older than ``grace``, which must be longer than the time to write one version.

    Raises:
        IntegrityError: a version, an update record or an update result cannot be read, so the objects that it needs
            are unknown.
    """
    now = clock()
    cutoff = (now - grace).timestamp()
    finished_inputs = {digest_hex(record.input_digest) for record in list_update_records(store)}
    checkpoints = [info for info in store.list(CHECKPOINTS) if info.key.split("/")[1] in finished_inputs]
    blobs = [info for info in store.list("blobs/") if info.modified < cutoff]
    # Versions are read after the blobs are listed: a listed blob that becomes part of a version in between is kept.
    needed_keys = {
        blob_key(part) for digest in list_versions(store) for part in read_version(store, digest).parts.values()
    }
    unfinished_writes = [info for info in store.list_unfinished_writes() if info.modified < cutoff]
    failures = _prunable_failures(store, cutoff, (now - FAILURE_LIFETIME).timestamp())
    return (*checkpoints, *failures, *(info for info in blobs if info.key not in needed_keys), *unfinished_writes)


def _prunable_failures(store: Store, cutoff: float, lifetime_cutoff: float) -> list[ObjectInfo]:
    """Failures whose update or evaluation has a result, and those that are too old to help."""
    finished_names = {
        *(result.trigger.update for result in list_update_results(store)),
        *(
            info.key.removeprefix(SCHEDULED_EVALUATIONS).removesuffix(".json")
            for info in store.list(SCHEDULED_EVALUATIONS)
        ),
    }
    return [
        info
        for info, _, run in list_step_failures(store)
        if info.modified < lifetime_cutoff or (info.modified < cutoff and run.rpartition("-")[0] in finished_names)
    ]


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What ``prune`` did.

    Attributes:
        deleted: the deleted objects.
        kept_versions: how many of them the store keeps as old versions, so that their storage is not free yet.
        refusals: one sentence for each object that a policy or a retention of the store keeps.
    """

    deleted: tuple[ObjectInfo, ...]
    kept_versions: int = 0
    refusals: tuple[str, ...] = ()


def prune(
    store: Store, selected_objects: Sequence[ObjectInfo], clock: Clock = utc_now, grace: timedelta = GRACE_PERIOD
) -> PruneResult:
    """Deletes objects that ``find_prunable`` returned, unless they are needed by now."""
    prunable_objects = set(find_prunable(store, clock, grace))
    deleted: list[ObjectInfo] = []
    refusals: list[str] = []
    kept_versions = 0
    for info in selected_objects:
        if info not in prunable_objects:
            continue
        try:
            kept_versions += not store.delete(info.key)
            deleted.append(info)
        except RefusedError as error:
            refusals.append(str(error))
    return PruneResult(tuple(deleted), kept_versions, tuple(refusals))
