"""Loaded studies to sample records: stored names, duplicates out, a split for each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import SiteConfig, Split, TaskType, canonical_json, digest_json, encode
from anamnesis.snapshots.keys import pseudonymise_patient, pseudonymise_study
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord
from anamnesis.snapshots.quarantine import QuarantineLog, QuarantineReason
from anamnesis.snapshots.studies import MASK, Study
from anamnesis.snapshots.testsets import TestSet


@dataclass(frozen=True, slots=True)
class AssembledSample:
    """A sample record with the files it came from; ``split`` is the patient's side or PENDING."""

    files: tuple[str, ...]
    record: SampleRecord


def assemble_samples(
    studies: Sequence[Study],
    images: Sequence[Mapping[str, ImageRecord] | None],
    patient_splits: Mapping[str, Split],
    key: bytes,
    config: SiteConfig,
    quarantine_log: QuarantineLog,
) -> list[AssembledSample]:
    """Returns the sample record of each loaded study; identifiers end here.

    Args:
        studies: as taken.
        images: of each study, or none where they failed.
        patient_splits: TRAIN or TEST by the source's patient identifier.
        key: the split key.
        config: the site's name, task and modalities.
        quarantine_log: takes studies whose mask does not fit.
    """
    assembled_samples = []
    for study, records in zip(studies, images, strict=True):
        if records is not None and not _mask_fits(records, config.modalities[0]):
            quarantine_log.add(QuarantineReason.MASK_MISMATCH, study.files, "image and mask differ in size")
        elif records is not None:
            assembled_samples.append(
                AssembledSample(study.files, _make_record(study, records, patient_splits[study.patient], key, config))
            )
    return assembled_samples


def _mask_fits(images: Mapping[str, ImageRecord], main_modality: str) -> bool:
    mask, image = images.get(MASK), images.get(main_modality)
    return mask is None or image is None or mask.shape == image.shape[: len(image.axes.removesuffix("C"))]


def _make_record(
    study: Study, images: Mapping[str, ImageRecord], patient_split: Split, key: bytes, config: SiteConfig
) -> SampleRecord:
    patient_pseudonym = pseudonymise_patient(key, config.name, study.patient)
    study_pseudonym = pseudonymise_study(key, config.name, study.patient, study.study)
    has_target = study.target is not None or config.task.type is TaskType.PRETRAINING
    return SampleRecord(
        id=_sample_id(patient_pseudonym, study_pseudonym, images, 0),
        patient=patient_pseudonym,
        study=study_pseudonym,
        split=patient_split if has_target else Split.PENDING,
        images=images,
        target=study.target,
        covariates=study.covariates,
        attributes=study.attributes,
    )


def drop_duplicates(
    assembled_samples: Sequence[AssembledSample], issued_test_sets: Sequence[TestSet], quarantine_log: QuarantineLog
) -> list[AssembledSample]:
    """Keeps equal pixels with one patient and study only: a copy elsewhere could stand on the other side of the split.

    What an issued test set holds stays with its owner; else a labelled study comes before one without a label, then
    the order of stored names decides.
    """
    owners = {
        _content_digests(sample): (sample.patient, sample.study)
        for test_set in issued_test_sets
        for sample in test_set.samples
    }
    groups: dict[tuple[str, ...], list[AssembledSample]] = defaultdict(list)
    for assembled in sorted(assembled_samples, key=_sort_key):
        groups[_content_digests(assembled.record)].append(assembled)
    unique_samples: list[AssembledSample] = []
    for contents, members in groups.items():
        first_record = members[0].record
        owner = owners.get(contents, (first_record.patient, first_record.study))
        owner_samples = [
            assembled for assembled in members if (assembled.record.patient, assembled.record.study) == owner
        ]
        duplicate_samples = [
            assembled for assembled in members if (assembled.record.patient, assembled.record.study) != owner
        ]
        unique_samples += [
            _with_copy_number(assembled, copy_number) for copy_number, assembled in enumerate(owner_samples)
        ]
        quarantine_log.add(
            QuarantineReason.DUPLICATE, (file for assembled in duplicate_samples for file in assembled.files)
        )
    return unique_samples


def move_to_reserve(record: SampleRecord, test_sample_ids: Iterable[str]) -> SampleRecord:
    """Returns the record with its split: a case of the test side outside every issued test set waits in reserve.

    Args:
        record: with the patient's side as its split.
        test_sample_ids: ids of all samples of all issued test sets.
    """
    is_reserve = record.split is Split.TEST and record.id not in test_sample_ids
    return replace(record, split=Split.RESERVE) if is_reserve else record


def _sample_id(patient: str, study: str, images: Mapping[str, ImageRecord], copy_number: int) -> str:
    contents = {name: image.content for name, image in images.items() if name != MASK}
    identity = {"patient": patient, "study": study, "images": contents}
    return digest_json(identity | {"copy": copy_number} if copy_number else identity)


def _with_copy_number(assembled: AssembledSample, copy_number: int) -> AssembledSample:
    record = assembled.record
    return replace(
        assembled, record=replace(record, id=_sample_id(record.patient, record.study, record.images, copy_number))
    )


def _content_digests(record: SampleRecord) -> tuple[str, ...]:
    return tuple(image.content for name, image in sorted(record.images.items()) if name != MASK)


def _sort_key(assembled: AssembledSample) -> tuple[object, ...]:
    record = assembled.record
    return record.target is None, record.patient, record.study, canonical_json(encode(record))
