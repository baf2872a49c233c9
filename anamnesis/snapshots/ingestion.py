"""The ingest: makes a snapshot of the data of a site: what its source lists now, and what it listed before."""

import os

from anamnesis.records import InputError, Progress, SiteConfig, ignore_progress
from anamnesis.snapshots.ingest_result import IngestResult, read_stored_result, store_result
from anamnesis.snapshots.ingest_run import IngestRun, ListedSource, begin_run, list_source
from anamnesis.snapshots.keys import key_fingerprint
from anamnesis.snapshots.listings import write_listing
from anamnesis.snapshots.manifest import SampleRecord, SnapshotManifest, write_snapshot_manifest
from anamnesis.snapshots.quarantine import count_by_reason
from anamnesis.snapshots.sample_assembly import move_to_reserve
from anamnesis.snapshots.snapshot_changes import SnapshotChanges, find_changes
from anamnesis.snapshots.source_files import list_source_items
from anamnesis.snapshots.source_reading import ReadSource, read_source
from anamnesis.snapshots.split_notices import describe_splits
from anamnesis.snapshots.store_binding import bind_store, check_store_binding
from anamnesis.snapshots.testsets import TestSet, check_task, freeze_first_sets, list_test_sets
from anamnesis.sources import ListingProblem
from anamnesis.storage.scratch import Scratch
from anamnesis.storage.store import Store

ATTRIBUTES = ("Sex", "AgeBand", "Manufacturer")


def ingest(
    config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = ignore_progress
) -> IngestResult:
    """Reads the data of a site and writes a snapshot to the site's own store.

    The snapshot has what the source lists, and the training samples of the snapshot in force that the source merely no
    longer lists. An ingest that was killed and is repeated gives the same result. Where it leaves out withdrawn
    samples, the site's prepared images are removed from this machine.

    Args:
        config: settings of the site.
        store: the site's own store.
        key: the site's split key.
        workers: number of processes that read files, when there are many.
        progress: receives the progress.

    Raises:
        InputError: the source, its labels or its splits are unusable; too many images are quarantined; the first test
            set would lack a class.
        RefusedError: the store belongs to another site, key or task.
    """
    check_config(config)
    check_store_binding(store, config.name, key_fingerprint(key))
    source = list_source(config, store, key)
    issued_test_sets = list_test_sets(store)
    check_task(issued_test_sets, config.task)
    if earlier_result := read_stored_result(store, source.fingerprint, issued_test_sets):
        return earlier_result
    store.check_conditional_writes()
    run = begin_run(source, workers, progress, issued_test_sets)
    read = read_source(run)
    issued_test_sets = _freeze_first_sets(run, read)
    changes = find_changes(run, read, issued_test_sets[-1])
    manifest = _build_manifest(run, [*_records(read), *changes.unlisted.carried], issued_test_sets)
    result = _make_result(run, read, manifest, changes)
    _accept(source, result, changes)
    if result.counts.get("withdrawn"):
        Scratch.of_environment(os.environ).remove_all(store.url)
    return result


def read_present_samples(
    config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = ignore_progress
) -> list[SampleRecord]:
    """Returns the samples of a site's present data as a first ingest would have them: no frozen set has a say.

    The pixels are stored; no snapshot is written.

    Raises:
        InputError: see ``ingest``.
    """
    check_config(config)
    return _records(read_source(begin_run(list_source(config, store, key), workers, progress, issued_test_sets=())))


def find_ingest_result(config: SiteConfig, store: Store, key: bytes) -> IngestResult | None:
    """Returns the result of an earlier ``ingest`` of the current source, or none; lists files, but reads none.

    Raises:
        InputError: the source cannot be listed.
        RefusedError: the store belongs to another site or key.
    """
    check_config(config)
    check_store_binding(store, config.name, key_fingerprint(key))
    return read_stored_result(store, list_source(config, store, key).fingerprint, list_test_sets(store))


def check_config(config: SiteConfig) -> None:
    """Checks the values of a site's settings.

    Raises:
        InputError: a value is not as expected; the message names the field.
    """
    if not config.modalities:
        raise InputError(f"site {config.name!r}: modalities: expected one or more, for example DX, found none")
    if unknown_attributes := sorted(set(config.attributes) - set(ATTRIBUTES)):
        raise InputError(
            f"site {config.name!r}: attributes: expected some of {', '.join(ATTRIBUTES)}, "
            f"found {unknown_attributes[0]!r}"
        )
    shares = {
        "testFraction": config.test_fraction,
        "maximumQuarantineShare": config.maximum_quarantine_share,
        "maximumShrinkShare": config.maximum_shrink_share,
    }
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"site {config.name!r}: {name}: expected 0 to 1, found {share}")


def _records(read: ReadSource) -> list[SampleRecord]:
    return sorted((assembled.record for assembled in read.samples), key=lambda record: record.id)


def _freeze_first_sets(run: IngestRun, read: ReadSource) -> tuple[TestSet, ...]:
    """Returns the issued test sets; a site's first ingest freezes the first one."""
    issued_test_sets = list_test_sets(run.store) or freeze_first_sets(
        run.store,
        site=run.config.name,
        task=run.config.task,
        key_fingerprint=key_fingerprint(run.key),
        samples=_records(read),
    )
    bind_store(run.store, run.config.name, run.key)
    return issued_test_sets


def _build_manifest(
    run: IngestRun, records: list[SampleRecord], issued_test_sets: tuple[TestSet, ...]
) -> SnapshotManifest:
    test_sample_ids = {sample.id for test_set in issued_test_sets for sample in test_set.samples}
    samples = (move_to_reserve(record, test_sample_ids) for record in records)
    return SnapshotManifest(
        site=run.config.name,
        task=run.config.task,
        modalities=run.config.modalities,
        key_fingerprint=key_fingerprint(run.key),
        test_set=issued_test_sets[-1].digest,
        samples=tuple(sorted(samples, key=lambda sample: sample.id)),
    )


def _make_result(
    run: IngestRun, read: ReadSource, manifest: SnapshotManifest, changes: SnapshotChanges
) -> IngestResult:
    log, test_set = run.quarantine_log, list_test_sets(run.store)[-1]
    return IngestResult(
        snapshot=write_snapshot_manifest(run.store, manifest),
        test_set=manifest.test_set,
        fingerprint=run.source.fingerprint,
        key_fingerprint=manifest.key_fingerprint,
        counts=manifest.count_by_split() | dict(read.counts) | dict(changes.counts),
        reasons=count_by_reason(log.quarantined),
        modality=run.config.modalities[0],
        foreign_reasons=count_by_reason(log.foreign),
        quarantine_list=log.url,
        notices=(*describe_splits(manifest, test_set), *changes.notices),
        changed_patients=changes.patients,
        hold=changes.hold,
        listing=changes.listing_number,
    )


def _accept(source: ListedSource, result: IngestResult, changes: SnapshotChanges) -> None:
    """Stores the result, and puts the snapshot in force unless it is held. The result counts once its listing does.

    If a file changed during the ingest or was not returned, the fingerprint does not describe the result. If another
    ingest was accepted meanwhile, that one is in force, and the next ingest reads the files again.
    """
    is_complete = ListingProblem.NOT_RETURNED not in result.reasons
    is_described = is_complete and list_source_items(source.config) == source.items
    if is_described:
        store_result(source.store, result)
    if not result.hold:
        write_listing(source.store, changes.listing(result.snapshot, source.fingerprint if is_described else ""))
