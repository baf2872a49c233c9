"""One site's data, as it lies there now, to a snapshot."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import (
    InputError,
    Progress,
    SiteConfig,
    Split,
    canonical_json,
    decode,
    digest_hex,
    encode,
    ignore_progress,
)
from anamnesis.snapshots.inspection import inspect_source
from anamnesis.snapshots.keys import key_fingerprint, pseudonymise_patient
from anamnesis.snapshots.manifest import SnapshotManifest, snapshot_key, write_snapshot_manifest
from anamnesis.snapshots.parallel import OrderedExecutorMap, ordered_executor_map
from anamnesis.snapshots.quarantine import QuarantineLog, count_by_reason
from anamnesis.snapshots.sample_assembly import AssembledSample, assemble_samples, drop_duplicates, move_to_reserve
from anamnesis.snapshots.source_files import (
    SourceFile,
    check_store_outside_source,
    compute_fingerprint,
    fetch_files,
    list_source_items,
)
from anamnesis.snapshots.splits import assign_splits, check_declared_splits, stratified_subset
from anamnesis.snapshots.store_binding import bind_store, check_store_binding
from anamnesis.snapshots.testsets import TestSet, check_task, freeze_test_set, list_test_sets
from anamnesis.sources import SourceItem
from anamnesis.storage.store import MissingObjectError, Store

ATTRIBUTES = ("Sex", "AgeBand", "Manufacturer")

_MANY_FILES = 512
_MANY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What an ingest gave. Nothing in it names a patient or a file.

    Attributes:
        snapshot: digest.
        test_set: digest of the test set in force.
        fingerprint: of source and settings; equal ones give this result at once.
        key_fingerprint: of the split key.
        counts: samples that are ``train``, ``test``, ``reserve``, ``pending``; studies that are ``left_out`` (by
            ``maximum_studies``); images that are ``ignored`` (by label) or ``quarantined``.
        reasons: how many images each reason for quarantine has.
        modality: the site's main modality: key of the image that a network reads.
        reused: nothing had changed since an earlier ingest.
    """

    snapshot: str
    test_set: str
    fingerprint: str
    key_fingerprint: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    modality: str
    reused: bool = False


def ingest(
    config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = ignore_progress
) -> IngestResult:
    """Reads what a site has and writes a snapshot to the site's own store. Killed and repeated, it ends the same.

    Args:
        config: where the data lies and what is asked of it.
        store: the site's own store.
        key: the model's split key.
        workers: processes that read files, where there are many.
        progress: told how far it is.

    Raises:
        InputError: the source, its labels or its splits are not usable; too much of it is broken; the first test set
            would lack a class.
        RefusedError: the store belongs to another site, key or task.
    """
    check_config(config)
    check_store_outside_source(config.source, store.url)
    check_store_binding(store, config.name, key_fingerprint(key))
    source_items = list_source_items(config)
    source_fingerprint = compute_fingerprint(config, key_fingerprint(key), source_items)
    issued_test_sets = list_test_sets(store)
    check_task(issued_test_sets, config.task)
    if earlier_result := _read_earlier_result(store, source_fingerprint, issued_test_sets):
        return earlier_result
    store.check_conditional_writes()
    with (
        ordered_executor_map(workers, _is_large(source_items)) as parallel_map,
        fetch_files(config.source, source_items, progress) as files,
    ):
        assembled_samples, quarantine_log, counts = _assemble_source(
            config, store, key, source_fingerprint, issued_test_sets, files, parallel_map, progress
        )
    manifest = _build_manifest(config, store, key, assembled_samples)
    result = IngestResult(
        snapshot=write_snapshot_manifest(store, manifest),
        test_set=manifest.test_set,
        fingerprint=source_fingerprint,
        key_fingerprint=manifest.key_fingerprint,
        counts=manifest.count_by_split() | counts,
        reasons=count_by_reason(quarantine_log.entries),
        modality=config.modalities[0],
    )
    if (
        list_source_items(config) == source_items
    ):  # else a file changed while it was read, and the name would promise too much
        store.put(_result_key(source_fingerprint), canonical_json(encode(result)))
    return result


def find_ingest_result(config: SiteConfig, store: Store, key: bytes) -> IngestResult | None:
    """Returns what ``ingest`` gave for the source as it lies there now, or none; lists files and reads none.

    Raises:
        InputError: the source cannot be listed.
        RefusedError: the store belongs to another site or key.
    """
    check_config(config)
    check_store_binding(store, config.name, key_fingerprint(key))
    return _read_earlier_result(
        store, compute_fingerprint(config, key_fingerprint(key), list_source_items(config)), list_test_sets(store)
    )


def check_config(config: SiteConfig) -> None:
    """Checks what the types of a site's settings leave open.

    Raises:
        InputError: names the field.
    """
    if not config.modalities:
        raise InputError(f"site {config.name!r}: modalities: expected one or more, for example DX")
    if unknown_attributes := sorted(set(config.attributes) - set(ATTRIBUTES)):
        raise InputError(
            f"site {config.name!r}: attributes: {unknown_attributes[0]!r} is not one of {', '.join(ATTRIBUTES)}"
        )
    for name in ("test_fraction", "maximum_quarantine_share"):
        if not 0 <= (share := getattr(config, name)) <= 1:
            raise InputError(f"site {config.name!r}: {name}: expected 0 to 1, found {share}")


def _is_large(source_items: Sequence[SourceItem]) -> bool:
    return len(source_items) > _MANY_FILES or sum(file.size for file in source_items) > _MANY_BYTES


def _assemble_source(
    config: SiteConfig,
    store: Store,
    key: bytes,
    source_fingerprint: str,
    issued_test_sets: Sequence[TestSet],
    files: Sequence[SourceFile],
    parallel_map: OrderedExecutorMap,
    progress: Progress,
) -> tuple[list[AssembledSample], QuarantineLog, dict[str, int]]:
    """From files to candidates whose pixels are stored; what does not get in stands in the ledger."""
    from anamnesis.snapshots.image_loading import (
        store_pixels,  # brings numpy, which who only asks about a site does not need
    )

    joined_studies = inspect_source(config, files, parallel_map, progress)
    if not joined_studies.image_count:
        raise InputError(f"site {config.name!r}: there is no image among the {len(files)} files of {config.source}")
    quarantine_log = QuarantineLog(
        store,
        source_fingerprint,
        joined_studies.image_count,
        config.maximum_quarantine_share,
        list(joined_studies.quarantine_entries),
    )
    test_patients = {sample.patient for test_set in issued_test_sets for sample in test_set.samples}
    check_declared_splits(joined_studies.studies, key, config.name, test_patients, quarantine_log)
    quarantine_log.write_and_check_share()  # before hours of reading: by now a wrong setting shows
    patient_splits = assign_splits(joined_studies.studies, key, config, test_patients)
    pseudonyms = {patient: pseudonymise_patient(key, config.name, patient) for patient in patient_splits}
    selected_studies = stratified_subset(joined_studies.studies, patient_splits, pseudonyms, config.maximum_studies)
    records = store_pixels(selected_studies, len(config.task.classes), store, quarantine_log, parallel_map, progress)
    assembled_samples = assemble_samples(selected_studies, records, patient_splits, key, config, quarantine_log)
    unique_samples = drop_duplicates(assembled_samples, issued_test_sets, quarantine_log)
    quarantine_log.write_and_check_share()
    left_out_count = len(joined_studies.studies) - len(selected_studies)
    return (
        unique_samples,
        quarantine_log,
        {
            "ignored": joined_studies.ignored_count,
            "left_out": left_out_count,
            "quarantined": len(quarantine_log.entries),
        },
    )


def _build_manifest(
    config: SiteConfig, store: Store, key: bytes, assembled_samples: Sequence[AssembledSample]
) -> SnapshotManifest:
    """The snapshot; a site's first one freezes its first test set."""
    fingerprint_of_key = key_fingerprint(key)
    records = sorted((assembled.record for assembled in assembled_samples), key=lambda record: record.id)
    test_records = tuple(record for record in records if record.split is Split.TEST)
    issued_test_sets = list_test_sets(store) or freeze_test_set(
        store, TestSet(1, config.name, config.task, fingerprint_of_key, test_records)
    )
    bind_store(store, config.name, fingerprint_of_key)
    test_sample_ids = {sample.id for test_set in issued_test_sets for sample in test_set.samples}
    samples = tuple(move_to_reserve(record, test_sample_ids) for record in records)
    return SnapshotManifest(
        config.name, config.task, config.modalities, fingerprint_of_key, issued_test_sets[-1].digest, samples
    )


def _read_earlier_result(
    store: Store, source_fingerprint: str, issued_test_sets: Sequence[TestSet]
) -> IngestResult | None:
    """The result of an earlier ingest of the same files, while its test set is in force and it was not deleted."""
    try:
        earlier_result = decode(IngestResult, json.loads(store.get(_result_key(source_fingerprint))), "sources")
    except MissingObjectError:
        return None
    is_valid = (
        issued_test_sets
        and earlier_result.test_set == issued_test_sets[-1].digest
        and store.exists(snapshot_key(earlier_result.snapshot))
    )
    return replace(earlier_result, reused=True) if is_valid else None


def _result_key(source_fingerprint: str) -> str:
    return f"sources/{digest_hex(source_fingerprint)}.json"
