"""Assembly of sample records from loaded studies: pseudonyms, removal of duplicates, splits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from anamnesis.records import SiteConfig, Split, TaskType, canonical_json, digest_json, encode
from anamnesis.snapshots.aliases import Aliases
from anamnesis.snapshots.keys import pseudonymise_patient, pseudonymise_study
from anamnesis.snapshots.manifest import ImageRecord, SampleRecord
from anamnesis.snapshots.quarantine import QuarantineLog, QuarantineReason
from anamnesis.snapshots.studies import MASK, Study


@dataclass(frozen=True, slots=True)
class AssembledSample:
    """A sample record with its files; its ``split`` is the split of the patient or PENDING.

    Attributes:
        files: names below the source, for the quarantine list.
        record: the record.
        is_patient_declared: see ``Study``.
    """

    files: tuple[str, ...]
    record: SampleRecord
    is_patient_declared: bool = True


def assemble_samples(
    studies: Sequence[Study],
    images: Sequence[Mapping[str, ImageRecord] | None],
    patient_splits: Mapping[str, Split],
    key: bytes,
    config: SiteConfig,
    quarantine_log: QuarantineLog,
    aliases: Aliases,
) -> list[AssembledSample]:
    """Returns the sample record of each loaded study; it has pseudonyms instead of identifiers.

    Args:
        studies: the loaded studies.
        images: image records of each study; none for a study with an unusable image.
        patient_splits: TRAIN or TEST by the source's identifier of the patient.
        key: the split key.
        config: settings of the site.
        quarantine_log: receives studies whose mask does not match their image.
        aliases: pseudonyms that patients keep from an earlier key.
    """
    assembled_samples = []
    for study, records in zip(studies, images, strict=True):
        if records is not None and not _mask_fits(records, config.modalities[0]):
            quarantine_log.add(QuarantineReason.MASK_SIZE, study.files, "export the mask with the size of the image")
        elif records is not None and not _mask_has_place_of_image(records, config.modalities[0]):
            quarantine_log.add(QuarantineReason.MASK_PLACE, study.files, "export the mask with the grid of the image")
        elif records is not None:
            record = _make_record(
                study=study,
                images=records,
                patient_split=patient_splits[study.patient],
                key=key,
                config=config,
                aliases=aliases,
            )
            assembled_samples.append(AssembledSample(study.files, record, study.is_patient_declared))
    return assembled_samples


def _mask_fits(images: Mapping[str, ImageRecord], main_modality: str) -> bool:
    mask, image = images.get(MASK), images.get(main_modality)
    return mask is None or image is None or mask.shape == image.shape[: len(image.axes.removesuffix("C"))]


def _mask_has_place_of_image(images: Mapping[str, ImageRecord], main_modality: str) -> bool:
    """Returns whether the corners of mask and image are less than half a pixel apart, where both have an affine."""
    mask, image = images.get(MASK), images.get(main_modality)
    if mask is None or image is None or not mask.affine or not image.affine:
        return True
    limit = min(image.spacing) / 2
    corners = product(*((0, length - 1) for length in mask.shape))
    return all(
        abs(sum((a - b) * index for a, b, index in zip(*rows, (*corner, 1), strict=True))) < limit
        for corner in corners
        for rows in zip(mask.affine, image.affine, strict=True)
    )


def _make_record(
    study: Study,
    images: Mapping[str, ImageRecord],
    patient_split: Split,
    key: bytes,
    config: SiteConfig,
    aliases: Aliases,
) -> SampleRecord:
    patient_pseudonym = aliases.resolve(pseudonymise_patient(key, config.name, study.patient))
    study_pseudonym = aliases.resolve(pseudonymise_study(key, config.name, study.patient, study.study))
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
    assembled_samples: Sequence[AssembledSample], frozen_samples: Iterable[SampleRecord], quarantine_log: QuarantineLog
) -> list[AssembledSample]:
    """Keeps equal pixels for one patient and study only, because a copy could be in the other split.

    Equal pixels with different targets are a conflict: none of the samples is kept. Images of a frozen test or
    calibration set keep their patient, and are quarantined under any other one. Otherwise a labelled study comes before
    an unlabelled one, then one with a declared patient, then the order of the pseudonyms decides. An equal image of the
    same or of no declared patient is a copy, and counts once.
    """
    owners = {content_digests(sample): (sample.patient, sample.study) for sample in frozen_samples}
    groups: dict[tuple[str, ...], list[AssembledSample]] = defaultdict(list)
    for assembled in sorted(assembled_samples, key=_sort_key):
        groups[content_digests(assembled.record)].append(assembled)
    unique_samples: list[AssembledSample] = []
    for contents, members in groups.items():
        if _have_different_targets(members):
            files = (file for assembled in members for file in assembled.files)
            quarantine_log.add(QuarantineReason.LABEL_CONFLICT, files)
            continue
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
        for assembled in duplicate_samples:
            is_copy = owner_samples and (not assembled.is_patient_declared or assembled.record.patient == owner[0])
            other = QuarantineReason.TEST_PATIENT_RETURNED if contents in owners else QuarantineReason.DUPLICATE
            quarantine_log.add(QuarantineReason.COPY if is_copy else other, assembled.files)
    return unique_samples


def _have_different_targets(members: Sequence[AssembledSample]) -> bool:
    targets = {
        canonical_json(encode([assembled.record.target, mask.content if mask else ""]))
        for assembled in members
        if assembled.record.target
        for mask in (assembled.record.images.get(MASK),)
    }
    return len(targets) > 1


def move_to_reserve(record: SampleRecord, test_sample_ids: Iterable[str]) -> SampleRecord:
    """Returns the record; a test sample outside all issued test sets gets the split RESERVE.

    Args:
        record: a record with the split of its patient.
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


def content_digests(record: SampleRecord) -> tuple[str, ...]:
    """Returns the content digests of a sample's images without its mask: equal ones are the same sample."""
    return tuple(image.content for name, image in sorted(record.images.items()) if name != MASK)


def _sort_key(assembled: AssembledSample) -> tuple[object, ...]:
    record = assembled.record
    return (
        record.target is None,
        not assembled.is_patient_declared,
        record.patient,
        record.study,
        canonical_json(encode(record)),
    )
