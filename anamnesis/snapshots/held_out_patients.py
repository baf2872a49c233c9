"""Training-side patients that are held out: for choices (validation) and for temperatures (calibration)."""

from collections.abc import Collection, Mapping, Sequence

from anamnesis.records import Split
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS
from anamnesis.snapshots.keys import draw_patient
from anamnesis.snapshots.studies import Study

CALIBRATION_FRACTION = 0.1
VALIDATION_FRACTION = 0.2


def hold_out_patients(
    studies: Sequence[Study],
    patient_splits: Mapping[str, Split],
    key: bytes,
    has_calibration: bool | None,
    unlisted_validation: int = 0,
) -> dict[str, Split]:
    """Returns the splits with the patients of calibration and validation taken out of training.

    A tenth of the training patients without a declared split calibrates, and a fifth of the other training patients
    validates, both by the key. Neither is taken where it would have fewer than ``MINIMUM_PATIENTS`` labelled patients.
    A source that declares validation patients keeps them, and no others validate.

    Args:
        studies: the studies of the snapshot.
        patient_splits: split of each patient so far.
        key: the split key.
        has_calibration: whether a calibration set is frozen beside the site's current test set; none before the first
            test set. A site that has one holds out its later calibration patients for the next.
        unlisted_validation: number of validation patients of the earlier snapshot whom the source no longer lists.
    """
    labelled_patients = {study.patient for study in studies if study.target is not None}
    declared_patients = {study.patient for study in studies if study.declared_split}
    splits = dict(patient_splits)
    drawn_patients = {
        patient
        for patient in _training_patients(splits) - declared_patients
        if draw_patient(key, "calibration", patient) < CALIBRATION_FRACTION
    }
    if has_calibration or (has_calibration is None and _are_enough(drawn_patients, labelled_patients)):
        splits |= dict.fromkeys(drawn_patients, Split.CALIBRATION)
    if Split.VALIDATION in splits.values():
        return splits
    drawn_patients = {
        patient
        for patient in _training_patients(splits)
        if draw_patient(key, "validation", patient) < VALIDATION_FRACTION
    }
    if _are_enough(drawn_patients, labelled_patients, unlisted_validation):
        splits |= dict.fromkeys(drawn_patients, Split.VALIDATION)
    return splits


def _training_patients(splits: Mapping[str, Split]) -> set[str]:
    return {patient for patient, split in splits.items() if split is Split.TRAIN}


def _are_enough(patients: Collection[str], labelled_patients: Collection[str], unlisted_count: int = 0) -> bool:
    return len(set(patients) & set(labelled_patients)) + unlisted_count >= MINIMUM_PATIENTS
