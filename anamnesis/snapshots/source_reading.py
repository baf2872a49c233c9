"""Reads the files of a source: studies, splits, pixels, samples, and what the source says about earlier samples."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import RETURNED_IMAGES, InputError, Split
from anamnesis.snapshots.aliases import Aliases, find_aliases
from anamnesis.snapshots.held_out_patients import hold_out_patients
from anamnesis.snapshots.ingest_run import IngestRun
from anamnesis.snapshots.inspection import inspect_source
from anamnesis.snapshots.keys import pseudonymise_patient
from anamnesis.snapshots.listed_data import ListedData, find_missing_rows, group_rows
from anamnesis.snapshots.parallel import OrderedExecutorMap, ordered_executor_map
from anamnesis.snapshots.quarantine import QuarantineReason, count_by_reason, format_reasons
from anamnesis.snapshots.sample_assembly import AssembledSample, assemble_samples, content_digests
from anamnesis.snapshots.shared_identifiers import check_identifiers, quarantine_shared_identifiers
from anamnesis.snapshots.source_files import SourceFile, fetch_files
from anamnesis.snapshots.splits import assign_splits, quarantine_conflicts, stratified_subset
from anamnesis.snapshots.studies import JoinedStudies, Study
from anamnesis.snapshots.testsets import find_frozen_splits, list_test_sets
from anamnesis.sources import SourceItem

_MANY_FILES = 512
_MANY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class ReadSource:
    """What was read of a source.

    Attributes:
        samples: the samples that the source lists.
        counts: numbers of images and studies without a sample.
        listed: what the source says about earlier samples.
        withdrawn_patients: pseudonym of the patient of each listed sample that is withdrawn.
    """

    samples: tuple[AssembledSample, ...]
    counts: Mapping[str, int]
    listed: ListedData
    withdrawn_patients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _SelectedStudies:
    """The studies that become samples.

    Attributes:
        studies: the studies.
        left_out: the usable studies beyond ``maximum_studies``.
        patient_splits: split of each patient by the source's identifier.
        aliases: pseudonyms that patients keep from an earlier key.
    """

    studies: Sequence[Study]
    left_out: Sequence[Study]
    patient_splits: Mapping[str, Split]
    aliases: Aliases


def read_source(run: IngestRun) -> ReadSource:
    """Reads the files of a source, and stores the pixels of its samples.

    Raises:
        InputError: see ``ingest``.
    """
    with (
        ordered_executor_map(run.workers, _is_large(run.source.items)) as parallel_map,
        fetch_files(run.config.source, run.source.items, run.progress) as files,
    ):
        joined_studies = inspect_source(run.config, files, parallel_map, run.progress)
        listed = _describe_listing(run, joined_studies)
        _log_inspection(run, files, joined_studies, listed)
        return _read_studies(run, joined_studies, listed, parallel_map)


def _is_large(source_items: Sequence[SourceItem]) -> bool:
    return len(source_items) > _MANY_FILES or sum(file.size for file in source_items) > _MANY_BYTES


def _describe_listing(run: IngestRun, joined_studies: JoinedStudies) -> ListedData:
    """Returns what the names and the label table say, before a pixel is read."""
    pseudonyms = run.pseudonyms
    return ListedData(
        unused_studies=frozenset(pseudonyms.of_study(*identity)[1] for identity in joined_studies.unused),
        rows=group_rows(joined_studies.unmatched_rows, pseudonyms),
        withdrawn_contents=run.source.withdrawn.contents,
        withdrawn_patients=run.source.withdrawn.patients,
    )


def _log_inspection(
    run: IngestRun, files: Sequence[SourceFile], joined_studies: JoinedStudies, listed: ListedData
) -> None:
    """Lists the unusable files, and the rows of the table whose files are missing although they never arrived."""
    log, config = run.quarantine_log, run.config
    log.entries += joined_studies.quarantine_entries
    log.image_count = joined_studies.image_count
    if not config.labels.is_external:
        frozen_patients = find_frozen_splits(run.store, list_test_sets(run.store))
        missing_rows = find_missing_rows(listed.rows.values(), run.known_pseudonyms.union(frozen_patients))
        log.add(QuarantineReason.MISSING_FILE, (row.name for row in missing_rows))
        log.image_count += len(missing_rows)
    if not log.image_count and log.foreign:
        log.write()
        raise InputError(
            f"site {config.name!r}: none of the {len(files)} files of {config.source} is for this site: "
            f"{format_reasons(count_by_reason(log.foreign), 3)}. The files are listed in "
            f"{log.url}; correct the address, or the modalities of the site"
        )
    if not log.image_count:
        raise InputError(
            f"site {config.name!r}: source: no image among the {len(files)} files of {config.source}; "
            "correct the address, or ask the site for DICOM, NIfTI, PNG, JPEG or NPZ files"
        )


def _read_studies(
    run: IngestRun, joined_studies: JoinedStudies, listed: ListedData, parallel_map: OrderedExecutorMap
) -> ReadSource:
    # This imports numpy, which listing a source does not need.
    from anamnesis.snapshots.image_loading import read_contents

    withdrawn = [study for study in joined_studies.studies if _is_withdrawn(run, study)]
    withdrawn_files = {study.files for study in withdrawn}
    studies = [study for study in joined_studies.studies if study.files not in withdrawn_files]
    selected = _select_studies(run, studies)
    withdrawn_contents = read_contents(withdrawn, len(run.config.task.classes), parallel_map)
    assembled_samples = _assemble(run, selected, parallel_map)
    identities = [run.pseudonyms.of_study(study.patient, study.study) for study in withdrawn]
    listed = replace(
        listed,
        unused_studies=listed.unused_studies | _left_out_studies(run, selected),
        study_contents=_group_contents(assembled_samples),
        patient_splits=_pseudonymise_splits(run, selected),
        disputed_patients=_disputed_patients(run, studies, selected),
        withdrawn_studies=frozenset(study for _, study in identities),
        withdrawn_contents=listed.withdrawn_contents | withdrawn_contents,
    )
    samples, copies_of_withdrawn = _recognise(run, assembled_samples, listed)
    run.quarantine_log.write_and_check_share()
    return ReadSource(
        samples=tuple(samples),
        counts=_count_unused(run, joined_studies, selected),
        listed=listed,
        withdrawn_patients=(*(patient for patient, _ in identities), *copies_of_withdrawn),
    )


def _is_withdrawn(run: IngestRun, study: Study) -> bool:
    patients = run.source.withdrawn.patients
    return study.is_withdrawn or (bool(patients) and not patients.isdisjoint(run.pseudonyms.of_patient(study.patient)))


def _select_studies(run: IngestRun, studies: Sequence[Study]) -> _SelectedStudies:
    """Quarantines patients in conflict, and gives every other one a split."""
    config, key, log = run.config, run.key, run.quarantine_log
    aliases = find_aliases(run.store, config.name, studies)
    frozen_splits = aliases.translate_splits(find_frozen_splits(run.store, run.issued_test_sets))
    usable = quarantine_conflicts(studies, key, site=config.name, frozen_patients=frozen_splits, quarantine_log=log)
    has_frozen_sets = bool(run.issued_test_sets or list_test_sets(run.store))
    if has_frozen_sets:
        usable = quarantine_shared_identifiers(config, usable, key, frozen_patients=frozen_splits, quarantine_log=log)
    log.write_and_check_share()  # before hours of reading: a wrong setting is known by now
    if not has_frozen_sets:
        check_identifiers(config, usable)
    known_splits = dict.fromkeys(aliases.trained, Split.TRAIN) | frozen_splits
    patient_splits = assign_splits(usable, key, config, known_splits)
    pseudonyms = {patient: pseudonymise_patient(key, config.name, patient) for patient in patient_splits}
    taken = stratified_subset(usable, patient_splits, pseudonyms, config.maximum_studies)
    resolved_patients = {aliases.resolve(pseudonym) for pseudonym in pseudonyms.values()}
    patient_splits = hold_out_patients(
        taken,
        patient_splits,
        key,
        has_calibration=bool(run.issued_test_sets[-1].calibration) if run.issued_test_sets else None,
        unlisted_validation=len(run.earlier_patients(Split.VALIDATION) - resolved_patients),
    )
    taken_files = {study.files for study in taken}
    left_out = [study for study in usable if study.files not in taken_files]
    return _SelectedStudies(taken, left_out, patient_splits=patient_splits, aliases=aliases)


def _assemble(run: IngestRun, selected: _SelectedStudies, parallel_map: OrderedExecutorMap) -> list[AssembledSample]:
    """Stores the pixels of the studies, and returns the samples."""
    # This imports numpy, which listing a source does not need.
    from anamnesis.snapshots.image_loading import store_pixels

    images = store_pixels(
        studies=selected.studies,
        classes=len(run.config.task.classes),
        store=run.store,
        quarantine_log=run.quarantine_log,
        parallel_map=parallel_map,
        progress=run.progress,
    )
    return assemble_samples(
        studies=selected.studies,
        images=images,
        patient_splits=selected.patient_splits,
        key=run.key,
        config=run.config,
        quarantine_log=run.quarantine_log,
        aliases=selected.aliases,
    )


def _recognise(
    run: IngestRun, assembled_samples: Sequence[AssembledSample], listed: ListedData
) -> tuple[list[AssembledSample], list[str]]:
    """Returns the samples that are kept, and the patient of each other one that is a copy of a withdrawn image."""
    # This imports numpy, which listing a source does not need.
    from anamnesis.snapshots.sample_recognition import recognise_samples

    is_withdrawn = [
        not listed.withdrawn_contents.isdisjoint(content_digests(each.record)) for each in assembled_samples
    ]
    samples = recognise_samples(
        [each for each, flag in zip(assembled_samples, is_withdrawn, strict=True) if not flag],
        issued_test_sets=run.issued_test_sets,
        earlier_samples=run.earlier_samples,
        modality=run.config.modalities[0],
        store=run.store,
        quarantine_log=run.quarantine_log,
    )
    copies = (each.record.patient for each, flag in zip(assembled_samples, is_withdrawn, strict=True) if flag)
    return samples, list(copies)


def _left_out_studies(run: IngestRun, selected: _SelectedStudies) -> frozenset[str]:
    return frozenset(run.pseudonyms.of_study(study.patient, study.study)[1] for study in selected.left_out)


def _group_contents(assembled_samples: Sequence[AssembledSample]) -> dict[str, frozenset[str]]:
    contents: dict[str, set[str]] = defaultdict(set)
    for assembled in assembled_samples:
        contents[assembled.record.study].update(content_digests(assembled.record))
    return {study: frozenset(digests) for study, digests in contents.items()}


def _pseudonymise_splits(run: IngestRun, selected: _SelectedStudies) -> dict[str, Split]:
    return {
        selected.aliases.resolve(pseudonymise_patient(run.key, run.config.name, patient)): split
        for patient, split in selected.patient_splits.items()
    }


def _disputed_patients(run: IngestRun, studies: Sequence[Study], selected: _SelectedStudies) -> frozenset[str]:
    """Returns the pseudonyms of patients whose studies are all quarantined: nothing says who they are."""
    patients = {study.patient for study in studies} - set(selected.patient_splits)
    return frozenset(
        selected.aliases.resolve(pseudonymise_patient(run.key, run.config.name, patient)) for patient in patients
    )


def _count_unused(run: IngestRun, joined_studies: JoinedStudies, selected: _SelectedStudies) -> dict[str, int]:
    counts = {
        "ignored": joined_studies.ignored_count,
        "left_out": len(selected.left_out),
        **run.quarantine_log.counts(),
    }
    reason_counts = count_by_reason(run.quarantine_log.entries)
    if returned_count := reason_counts.get(QuarantineReason.TEST_PATIENT_RETURNED):
        counts[RETURNED_IMAGES] = returned_count
    return counts
