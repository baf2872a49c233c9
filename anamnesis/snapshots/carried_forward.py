"""Samples of the snapshot in force that the source merely no longer lists: the next snapshot keeps them.

A bucket's lifecycle rule or a full disk says nothing about a patient. Withdrawn samples, samples without a label,
training patients who are held out now, and samples that the source lists again, under any name, are not carried
forward. Those of the test side are kept so that files that leave give no other snapshot; test sets are frozen anyway.
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
    """The samples of the snapshot in force that the source no longer lists.

    Attributes:
        carried: those that the next snapshot keeps, with their present label and split.
        withdrawn: those that a row of the label table or a command withdraws.
        without_image: those whose image the store has lost.
        gone: ids of all training samples that are not withdrawn.
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
    known_pseudonyms: Collection[str],
    stored_contents: Collection[str],
    room: int | None,
) -> Unlisted:
    """Returns which of the samples that the source no longer lists are kept.

    Args:
        earlier_samples: samples of the snapshot in force.
        listed: what the source lists.
        config: settings of the site.
        held_out_patients: pseudonyms of patients of issued test and calibration sets.
        known_pseudonyms: pseudonyms of patients and studies that snapshots have or had.
        stored_contents: digests of the images in the site's own store.
        room: largest number of samples to keep, or none for all.
    """
    unlisted = listed.find_unlisted(earlier_samples)
    withdrawn_ids = _find_withdrawn(unlisted, {*known_pseudonyms, *listed.studies}, listed)
    withdrawn = tuple(sample for sample in unlisted if sample.id in withdrawn_ids)
    remaining = [sample for sample in unlisted if sample.id not in withdrawn_ids]
    usable = [
        updated
        for sample in remaining
        if sample.patient not in listed.disputed_patients
        for updated in _follow_source(sample, listed, config=config, held_out_patients=held_out_patients)
    ]
    is_stored = {
        sample.id: all(image.content in stored_contents for image in sample.images.values()) for sample in usable
    }
    stored = [sample for sample in usable if is_stored[sample.id]]
    carried = sorted(stored, key=lambda sample: sample.split not in TRAINING_SPLITS)[:room]
    return Unlisted(
        carried=_keep_enough_validation(carried, listed.patient_splits),
        withdrawn=withdrawn,
        without_image=tuple(sample for sample in usable if not is_stored[sample.id]),
        gone=frozenset(sample.id for sample in remaining if sample.split in TRAINING_SPLITS),
    )


def _find_withdrawn(
    unlisted: Sequence[SampleRecord], known_studies: Collection[str], listed: ListedData
) -> frozenset[str]:
    """Returns the ids of withdrawn samples.

    A withdrawn row of which no study is known withdraws all unlisted samples of its patient: a file that is gone can
    no longer show which of them it was.
    """
    patients = {
        study.patient for study in listed.rows.values() if study.is_withdrawn and study.study not in known_studies
    }
    return frozenset(sample.id for sample in unlisted if sample.patient in patients or listed.withdraws(sample))


def _follow_source(
    sample: SampleRecord, listed: ListedData, *, config: SiteConfig, held_out_patients: Collection[str]
) -> Iterator[SampleRecord]:
    """Yields the sample with the split of its patient and the label of its rows, where its patient did not change side.

    Nothing that a patient's other studies say puts a held-out sample into training.
    """
    split = listed.patient_splits.get(sample.patient, sample.split)
    if sample.split not in TRAINING_SPLITS:
        if split not in TRAINING_SPLITS:
            yield sample
        return
    unmatched = listed.rows.get(sample.study)
    updated = _with_label(sample, [row.annotation for row in unmatched.rows], config) if unmatched else sample
    if split in TRAINING_SPLITS and sample.patient not in held_out_patients and updated:
        yield replace(updated, split=split)


def _with_label(
    sample: SampleRecord, annotations: Sequence[ImageAnnotation], config: SiteConfig
) -> SampleRecord | None:
    """Returns the sample with the label of its rows; none where they put it elsewhere, or have no label for it.

    Where the rows of a study have several labels, nothing shows which is that of the sample: it keeps its own.
    """
    if any(each.is_ambiguous or each.split not in (None, *TRAINING_SPLITS) for each in annotations):
        return None
    targets = {make_target(config, annotation) for annotation in annotations}
    if config.task.type is TaskType.SEGMENTATION or len(targets) > 1:
        return sample  # the label of a segmentation is the stored mask
    (target,) = targets
    return replace(sample, target=target) if target or config.task.type is TaskType.PRETRAINING else None


def _keep_enough_validation(
    carried: Sequence[SampleRecord], patient_splits: Mapping[str, Split]
) -> tuple[SampleRecord, ...]:
    """Returns the samples; too few validation patients are trained on instead, as those that the source lists are."""
    patients = {sample.patient for sample in carried if sample.split is Split.VALIDATION}
    if Split.VALIDATION in patient_splits.values() or len(patients) >= MINIMUM_PATIENTS:
        return tuple(carried)
    return tuple(
        replace(sample, split=Split.TRAIN) if sample.split is Split.VALIDATION else sample for sample in carried
    )
