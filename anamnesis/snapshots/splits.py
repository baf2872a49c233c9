"""Splits of patients by declaration or key, and the stratified subset of studies. Patients are never divided."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from anamnesis.records import TRAINING_SPLITS, SiteConfig, Split
from anamnesis.snapshots.keys import pseudonymise_patient, split_by_key
from anamnesis.snapshots.quarantine import QuarantineLog, QuarantineReason
from anamnesis.snapshots.studies import Study


def quarantine_conflicts(
    studies: Sequence[Study], key: bytes, site: str, frozen_patients: Collection[str], quarantine_log: QuarantineLog
) -> list[Study]:
    """Returns the studies without those of patients whose declared splits contradict each other or a frozen set.

    A patient may have training and validation: then the patient is trained on.

    Args:
        studies: studies with their declared splits.
        key: the split key.
        site: name of the site.
        frozen_patients: pseudonyms of the patients in issued test sets and their calibration sets.
        quarantine_log: receives the files of such patients.
    """
    reasons: dict[str, QuarantineReason] = {}
    for patient, splits in _declared_splits(studies).items():
        if len(splits) > 1 and not splits <= {*TRAINING_SPLITS}:
            reasons[patient] = QuarantineReason.PATIENT_IN_TWO_SPLITS
        elif splits <= {*TRAINING_SPLITS} and pseudonymise_patient(key, site, patient) in frozen_patients:
            reasons[patient] = QuarantineReason.TEST_PATIENT_IN_TRAINING
    for study in studies:
        if study.patient in reasons:
            quarantine_log.add(reasons[study.patient], study.files)
    return [study for study in studies if study.patient not in reasons]


def assign_splits(
    studies: Sequence[Study], key: bytes, config: SiteConfig, frozen_splits: Mapping[str, Split]
) -> dict[str, Split]:
    """Returns the split of each patient: the declared split of any of their studies, else TRAIN or TEST by key.

    Patients of issued test sets keep the split TEST, even if ``test_fraction`` is lowered later.

    Args:
        studies: studies with their declared splits.
        key: the split key.
        config: settings of the site.
        frozen_splits: pseudonym of each patient of a frozen test or calibration set -> TEST or CALIBRATION.
    """
    patient_splits = {
        patient: Split.TRAIN if Split.TRAIN in splits else min(splits)
        for patient, splits in _declared_splits(studies).items()
    }
    for patient in {study.patient for study in studies} - set(patient_splits):
        frozen_split = frozen_splits.get(pseudonymise_patient(key, config.name, patient))
        patient_splits[patient] = frozen_split or split_by_key(key, patient, config.test_fraction)
    return patient_splits


def _declared_splits(studies: Sequence[Study]) -> dict[str, set[Split]]:
    declared_splits: dict[str, set[Split]] = defaultdict(set)
    for study in studies:
        if study.declared_split:
            declared_splits[study.patient].add(study.declared_split)
    return declared_splits


def stratified_subset(
    studies: Sequence[Study], patient_splits: Mapping[str, Split], pseudonyms: Mapping[str, str], maximum: int
) -> list[Study]:
    """Returns at most ``maximum`` studies, in their order.

    Classes get even shares. Within a class test and the other splits are reduced by the same factor and keep at least
    one study each.
    Patients are taken in the order of their pseudonyms, whole except for the last one. Studies without a target fill
    the rest.

    Args:
        studies: all studies.
        patient_splits: split of each patient.
        pseudonyms: pseudonym of each patient.
        maximum: largest number of studies; 0 takes all.
    """
    if not maximum or len(studies) <= maximum:
        return list(studies)
    order = sorted(
        range(len(studies)),
        key=lambda study_position: (
            pseudonyms[studies[study_position].patient],
            studies[study_position].study,
            studies[study_position].files,
        ),
    )
    strata: dict[int, dict[Split, list[int]]] = defaultdict(lambda: defaultdict(list))
    pending_positions = []
    for position in order:
        target = studies[position].target
        if target is None:
            pending_positions.append(position)
        else:
            side = Split.TEST if patient_splits[studies[position].patient] is Split.TEST else Split.TRAIN
            strata[-1 if target.index is None else target.index][side].append(position)
    classes = [strata[index] for index in sorted(strata)]
    quotas = _even_shares([sum(map(len, parts.values())) for parts in classes], maximum)
    chosen_positions = [
        study_position
        for parts, quota in zip(classes, quotas, strict=True)
        for study_position in _thin_class(parts, quota)
    ]
    chosen_positions += pending_positions[: maximum - len(chosen_positions)]
    return [studies[study_position] for study_position in sorted(chosen_positions)]


def _even_shares(sizes: Sequence[int], total: int) -> list[int]:
    """Returns shares of ``total`` as even as the sizes allow; larger classes take the rest of smaller ones."""
    shares = [0] * len(sizes)
    remaining = total
    for class_rank, index in enumerate(sorted(range(len(sizes)), key=lambda i: (sizes[i], i))):
        shares[index] = min(sizes[index], remaining // (len(sizes) - class_rank))
        remaining -= shares[index]
    return shares


def _thin_class(parts: Mapping[Split, Sequence[int]], quota: int) -> list[int]:
    test, train = parts.get(Split.TEST, []), parts.get(Split.TRAIN, [])
    test_quota = round(quota * len(test) / (len(test) + len(train)))
    test_count = min(len(test), max(test_quota, min(1, quota - 1, len(test))))
    train_count = min(len(train), quota - test_count)
    return [*test[: quota - train_count], *train[:train_count]]
