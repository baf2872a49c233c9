"""The ingest: makes a snapshot of the current data of a site."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from anamnesis.records import (
    CORRECTED_TEST_LABELS,
    RETURNED_IMAGES,
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
from anamnesis.snapshots.aliases import find_aliases
from anamnesis.snapshots.corrected_labels import count_corrected_labels
from anamnesis.snapshots.held_out_patients import hold_out_patients
from anamnesis.snapshots.inspection import inspect_source
from anamnesis.snapshots.keys import key_fingerprint, pseudonymise_patient
from anamnesis.snapshots.manifest import SampleRecord, SnapshotManifest, snapshot_key, write_snapshot_manifest
from anamnesis.snapshots.parallel import OrderedExecutorMap, ordered_executor_map
from anamnesis.snapshots.quarantine import (
    QuarantineLog,
    QuarantineReason,
    count_by_reason,
    format_reasons,
    quarantine_url,
)
from anamnesis.snapshots.sample_assembly import AssembledSample, assemble_samples, move_to_reserve
from anamnesis.snapshots.shared_identifiers import check_identifiers, quarantine_shared_identifiers
from anamnesis.snapshots.source_files import (
    SourceFile,
    check_store_outside_source,
    compute_fingerprint,
    fetch_files,
    list_source_items,
)
from anamnesis.snapshots.split_notices import describe_splits
from anamnesis.snapshots.splits import assign_splits, quarantine_conflicts, stratified_subset
from anamnesis.snapshots.store_binding import bind_store, check_store_binding
from anamnesis.snapshots.studies import JoinedStudies
from anamnesis.snapshots.testsets import TestSet, check_task, find_frozen_splits, freeze_first_sets, list_test_sets
from anamnesis.sources import ListingProblem, SourceItem
from anamnesis.storage.store import MissingObjectError, Store

ATTRIBUTES = ("Sex", "AgeBand", "Manufacturer")

_MANY_FILES = 512
_MANY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The result of an ingest. It contains no name of a patient or a file.

    Attributes:
        snapshot: digest of the snapshot.
        test_set: digest of the current test set.
        fingerprint: fingerprint of source and settings; an ingest with the same one returns this result at once.
        key_fingerprint: fingerprint of the split key.
        counts: numbers of samples by split; of studies ``left_out`` (by
            ``maximum_studies``); of images ``ignored`` (by label), ``quarantined``, ``foreign`` (not for the site) and
            ``copies`` (of other files); of cases of the test set with ``corrected_test_labels``, and of
            ``returned_images``, where there are some.
        reasons: quarantine reason -> number of images.
        foreign_reasons: reason -> number of files and images that are not for the site.
        quarantine_list: URL of the list of these files, in the site's own store.
        modality: main modality of the site: key of the image that a network reads.
        notices: sentences about the splits, for people.
        reused: whether this is the result of an earlier ingest, because nothing has changed.
    """

    snapshot: str
    test_set: str
    fingerprint: str
    key_fingerprint: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    modality: str
    foreign_reasons: Mapping[str, int] = field(default_factory=dict)
    quarantine_list: str = ""
    notices: tuple[str, ...] = ()
    reused: bool = False


def ingest(
    config: SiteConfig, store: Store, key: bytes, workers: int = 2, progress: Progress = ignore_progress
) -> IngestResult:
    """Reads the data of a site and writes a snapshot to the site's own store.

    An ingest that was killed and is repeated gives the same result.

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
    check_store_outside_source(config.source, store.url)
    check_store_binding(store, config.name, key_fingerprint(key))
    source_items = list_source_items(config)
    source_fingerprint = compute_fingerprint(config, key_fingerprint(key), source_items)
    issued_test_sets = list_test_sets(store)
    check_task(issued_test_sets, config.task)
    if earlier_result := _read_earlier_result(store, source_fingerprint, issued_test_sets):
        return earlier_result
    store.check_conditional_writes()
    quarantine_log = QuarantineLog(store, source_fingerprint, config.maximum_quarantine_share)
    assembled_samples, counts = _read_samples(
        config,
        store,
        key,
        source_items=source_items,
        issued_test_sets=issued_test_sets,
        quarantine_log=quarantine_log,
        workers=workers,
        progress=progress,
    )
    manifest = _build_manifest(config, store, key, assembled_samples)
    test_set = list_test_sets(store)[-1]
    corrected_labels = count_corrected_labels(test_set, manifest.samples)
    result = IngestResult(
        snapshot=write_snapshot_manifest(store, manifest),
        test_set=manifest.test_set,
        fingerprint=source_fingerprint,
        key_fingerprint=manifest.key_fingerprint,
        counts=manifest.count_by_split()
        | counts
        | ({CORRECTED_TEST_LABELS: corrected_labels} if corrected_labels else {}),
        reasons=count_by_reason(quarantine_log.quarantined),
        modality=config.modalities[0],
        foreign_reasons=count_by_reason(quarantine_log.foreign),
        quarantine_list=quarantine_log.url,
        notices=tuple(describe_splits(manifest, test_set)),
    )
    # If a file changed during the ingest or was not returned, the fingerprint does not describe the result.
    is_complete = ListingProblem.NOT_RETURNED not in result.reasons
    if is_complete and list_source_items(config) == source_items:
        store.put(_result_key(source_fingerprint), canonical_json(encode(result)))
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
    check_store_outside_source(config.source, store.url)
    source_items = list_source_items(config)
    source_fingerprint = compute_fingerprint(config, key_fingerprint(key), source_items)
    assembled_samples, _ = _read_samples(
        config,
        store,
        key,
        source_items=source_items,
        issued_test_sets=(),
        quarantine_log=QuarantineLog(store, source_fingerprint, config.maximum_quarantine_share),
        workers=workers,
        progress=progress,
    )
    return sorted((assembled.record for assembled in assembled_samples), key=lambda record: record.id)


def find_ingest_result(config: SiteConfig, store: Store, key: bytes) -> IngestResult | None:
    """Returns the result of an earlier ``ingest`` of the current source, or none; lists files, but reads none.

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
    shares = {"testFraction": config.test_fraction, "maximumQuarantineShare": config.maximum_quarantine_share}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"site {config.name!r}: {name}: expected 0 to 1, found {share}")


def _read_samples(
    config: SiteConfig,
    store: Store,
    key: bytes,
    *,
    source_items: Sequence[SourceItem],
    issued_test_sets: Sequence[TestSet],
    quarantine_log: QuarantineLog,
    workers: int,
    progress: Progress,
) -> tuple[list[AssembledSample], dict[str, int]]:
    """Reads the files of a source; returns the samples and the numbers of images and studies without one."""
    with (
        ordered_executor_map(workers, _is_large(source_items)) as parallel_map,
        fetch_files(config.source, source_items, progress) as files,
    ):
        joined_studies = _inspect_studies(config, files, parallel_map, progress, quarantine_log=quarantine_log)
        return _assemble_source(
            config=config,
            store=store,
            key=key,
            issued_test_sets=issued_test_sets,
            joined_studies=joined_studies,
            quarantine_log=quarantine_log,
            parallel_map=parallel_map,
            progress=progress,
        )


def _is_large(source_items: Sequence[SourceItem]) -> bool:
    return len(source_items) > _MANY_FILES or sum(file.size for file in source_items) > _MANY_BYTES


def _inspect_studies(
    config: SiteConfig,
    files: Sequence[SourceFile],
    parallel_map: OrderedExecutorMap,
    progress: Progress,
    quarantine_log: QuarantineLog,
) -> JoinedStudies:
    joined_studies = inspect_source(config, files, parallel_map, progress)
    quarantine_log.entries += joined_studies.quarantine_entries
    quarantine_log.image_count = joined_studies.image_count
    if not joined_studies.image_count and quarantine_log.foreign:
        quarantine_log.write()
        raise InputError(
            f"site {config.name!r}: none of the {len(files)} files of {config.source} is for this site: "
            f"{format_reasons(count_by_reason(quarantine_log.foreign), 3)}. The files are listed in "
            f"{quarantine_log.url}; correct the address, or the modalities of the site"
        )
    if not joined_studies.image_count:
        raise InputError(
            f"site {config.name!r}: source: no image among the {len(files)} files of {config.source}; "
            "correct the address, or ask the site for DICOM, NIfTI, PNG, JPEG or NPZ files"
        )
    return joined_studies


def _assemble_source(
    config: SiteConfig,
    store: Store,
    key: bytes,
    issued_test_sets: Sequence[TestSet],
    joined_studies: JoinedStudies,
    quarantine_log: QuarantineLog,
    parallel_map: OrderedExecutorMap,
    progress: Progress,
) -> tuple[list[AssembledSample], dict[str, int]]:
    """Stores the pixels of the studies; returns the samples and the numbers of images and studies without one."""
    # These import numpy, which listing a source does not need.
    from anamnesis.snapshots.image_loading import store_pixels
    from anamnesis.snapshots.sample_recognition import recognise_samples

    aliases = find_aliases(store, config.name, joined_studies.studies)
    frozen_splits = aliases.translate_splits(find_frozen_splits(store, issued_test_sets))
    studies = quarantine_conflicts(
        joined_studies.studies, key, site=config.name, frozen_patients=frozen_splits, quarantine_log=quarantine_log
    )
    has_frozen_sets = bool(issued_test_sets or list_test_sets(store))
    if has_frozen_sets:
        studies = quarantine_shared_identifiers(
            config, studies, key, frozen_patients=frozen_splits, quarantine_log=quarantine_log
        )
    quarantine_log.write_and_check_share()  # before hours of reading: a wrong setting is known by now
    if not has_frozen_sets:
        check_identifiers(config, studies)
    known_splits = dict.fromkeys(aliases.trained, Split.TRAIN) | frozen_splits
    patient_splits = assign_splits(studies, key, config, known_splits)
    pseudonyms = {patient: pseudonymise_patient(key, config.name, patient) for patient in patient_splits}
    selected_studies = stratified_subset(studies, patient_splits, pseudonyms, config.maximum_studies)
    has_calibration = bool(issued_test_sets[-1].calibration) if issued_test_sets else None
    patient_splits = hold_out_patients(selected_studies, patient_splits, key, has_calibration=has_calibration)
    records = store_pixels(
        studies=selected_studies,
        classes=len(config.task.classes),
        store=store,
        quarantine_log=quarantine_log,
        parallel_map=parallel_map,
        progress=progress,
    )
    assembled_samples = assemble_samples(
        studies=selected_studies,
        images=records,
        patient_splits=patient_splits,
        key=key,
        config=config,
        quarantine_log=quarantine_log,
        aliases=aliases,
    )
    unique_samples = recognise_samples(
        assembled_samples,
        issued_test_sets=issued_test_sets,
        modality=config.modalities[0],
        store=store,
        quarantine_log=quarantine_log,
    )
    quarantine_log.write_and_check_share()
    counts = {
        "ignored": joined_studies.ignored_count,
        "left_out": len(studies) - len(selected_studies),
        **quarantine_log.counts(),
    }
    if returned_count := count_by_reason(quarantine_log.entries).get(QuarantineReason.TEST_PATIENT_RETURNED):
        counts[RETURNED_IMAGES] = returned_count
    return unique_samples, counts


def _build_manifest(
    config: SiteConfig, store: Store, key: bytes, assembled_samples: Sequence[AssembledSample]
) -> SnapshotManifest:
    """Returns the manifest of the snapshot; a site's first snapshot freezes its first test set."""
    fingerprint_of_key = key_fingerprint(key)
    records = sorted((assembled.record for assembled in assembled_samples), key=lambda record: record.id)
    issued_test_sets = list_test_sets(store) or freeze_first_sets(
        store, site=config.name, task=config.task, key_fingerprint=fingerprint_of_key, samples=records
    )
    bind_store(store, config.name, key)
    test_sample_ids = {sample.id for test_set in issued_test_sets for sample in test_set.samples}
    samples = tuple(move_to_reserve(record, test_sample_ids) for record in records)
    return SnapshotManifest(
        site=config.name,
        task=config.task,
        modalities=config.modalities,
        key_fingerprint=fingerprint_of_key,
        test_set=issued_test_sets[-1].digest,
        samples=samples,
    )


def _read_earlier_result(
    store: Store, source_fingerprint: str, issued_test_sets: Sequence[TestSet]
) -> IngestResult | None:
    """Returns the result of an earlier ingest of the same files, if its snapshot exists and its test set is current."""
    try:
        earlier_result = decode(IngestResult, json.loads(store.get(_result_key(source_fingerprint))), "sources")
    except MissingObjectError:
        return None
    is_valid = (
        issued_test_sets
        and earlier_result.test_set == issued_test_sets[-1].digest
        and store.exists(snapshot_key(earlier_result.snapshot))
    )
    if not is_valid:
        return None
    return replace(earlier_result, reused=True, quarantine_list=quarantine_url(store, source_fingerprint))


def _result_key(source_fingerprint: str) -> str:
    return f"sources/{digest_hex(source_fingerprint)}.json"
