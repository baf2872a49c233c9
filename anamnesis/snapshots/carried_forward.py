"""Training samples of the snapshot in force that the source merely no longer lists: the next snapshot keeps them.

A bucket's lifecycle rule or a full disk says nothing about a patient. Withdrawn samples, patients who are held out now,
and samples that the source lists again, under any name, are not carried forward.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import TRAINING_SPLITS, SiteConfig, Split, TaskType
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS
from anamnesis.snapshots.image_annotations import ImageAnnotation
from anamnesis.snapshots.listed_data import ListedData
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.studies import make_target


@dataclass(frozen=True, slots=True)
class Unlisted:
    """The training samples of the snapshot in force that the source no longer lists.

    Attributes:
        carried: those that the next snapshot keeps, with their present label and split.
        withdrawn: those that a row of the label table or a command withdraws.
        without_image: those whose image the store has lost.
        gone: ids of all that are not withdrawn.
    """

    carried: tuple[SampleRecord, ...] = ()
    withdrawn: tuple[SampleRecord, ...] = ()
    without_image: tuple[SampleRecord, ...] = ()
    gone: frozenset[str] = frozenset()


def carry_forward(
    earlier_samples: Sequence[SampleRecord],
    listed: ListedData,
    *,
    config: SiteConfig,
    held_out_patients: Collection[str],
    withdrawn_studies: Collection[str],
    stored_contents: Collection[str],
    room: int | None,
) -> Unlisted:
    """Returns what becomes of the training samples that the source no longer lists.

    Args:
        earlier_samples: samples of the snapshot in force.
        listed: what the source lists.
        config: settings of the site.
        held_out_patients: pseudonyms of patients of issued test and calibration sets.
        withdrawn_studies: pseudonyms of studies that rows have withdrawn before.
        stored_contents: digests of the images in the site's own store.
        room: largest number of samples to keep, or none for all.
    """
    unlisted = [sample for sample in earlier_samples if sample.split in TRAINING_SPLITS and not listed.lists(sample)]
    known_studies = {sample.study for sample in earlier_samples}.union(listed.studies, withdrawn_studies)
    withdrawn_ids = _find_withdrawn(unlisted, known_studies, listed)
    withdrawn = tuple(sample for sample in unlisted if sample.id in withdrawn_ids)
    remaining = [sample for sample in unlisted if sample.id not in withdrawn_ids]
    usable = [
        updated
        for sample in remaining
        if sample.patient not in held_out_patients and sample.patient not in listed.disputed_patients
        for updated in _follow_source(sample, listed, config)
    ]
    is_stored = {
        sample.id: all(image.content in stored_contents for image in sample.images.values()) for sample in usable
    }
    carried = [sample for sample in usable if is_stored[sample.id]][:room]
    return Unlisted(
        carried=_keep_enough_validation(carried, listed.patient_splits),
        withdrawn=withdrawn,
        without_image=tuple(sample for sample in usable if not is_stored[sample.id]),
        gone=frozenset(sample.id for sample in remaining),
    )


def _find_withdrawn(
    unlisted: Sequence[SampleRecord], known_studies: Collection[str], listed: ListedData
) -> frozenset[str]:
    """Returns the ids of withdrawn samples.

    A withdrawn row of which no study is known withdraws all unlisted samples of its patient: a file that is gone can
    no longer show which of them it was.
    """
    patients = {
        row.patient
        for row in listed.rows.values()
        if row.row.annotation.is_withdrawn and row.study not in known_studies
    }
    return frozenset(sample.id for sample in unlisted if sample.patient in patients or listed.withdraws(sample))


def _follow_source(sample: SampleRecord, listed: ListedData, config: SiteConfig) -> Iterator[SampleRecord]:
    """Yields the sample with the split of its patient and the label of its row, where it may still be trained on."""
    split = listed.patient_splits.get(sample.patient, sample.split)
    row = listed.rows.get(sample.study)
    updated = _with_label(sample, row.row.annotation, config) if row else sample
    if split in TRAINING_SPLITS and updated:
        yield replace(updated, split=split)


def _with_label(sample: SampleRecord, annotation: ImageAnnotation, config: SiteConfig) -> SampleRecord | None:
    """Returns the sample with the label of a row; none where the row puts it elsewhere, or has no label for it."""
    if annotation.is_ambiguous or annotation.split not in (None, *TRAINING_SPLITS):
        return None
    if config.task.type is TaskType.SEGMENTATION:
        return sample  # its label is the stored mask
    target = make_target(config, annotation)
    return replace(sample, target=target) if target or config.task.type is TaskType.PRETRAINING else None


def _keep_enough_validation(
    carried: Sequence[SampleRecord], patient_splits: Mapping[str, Split]
) -> tuple[SampleRecord, ...]:
    """Returns the samples; too few validation patients are trained on instead, as those that the source lists are."""
    patients = {sample.patient for sample in carried if sample.split is Split.VALIDATION}
    if Split.VALIDATION in patient_splits.values() or len(patients) >= MINIMUM_PATIENTS:
        return tuple(carried)
    return tuple(replace(sample, split=Split.TRAIN) for sample in carried)
