"""Which side each patient is on, and which studies are taken when there are more than wanted. Always whole patients."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from anamnesis.records import InputError, SiteConfig, Split
from anamnesis.snapshots.keys import pseudonymise_patient, split_by_key
from anamnesis.snapshots.quarantine import QuarantineLog, QuarantineReason
from anamnesis.snapshots.studies import Study


def check_declared_splits(
    studies: Sequence[Study], key: bytes, site: str, test_patients: Collection[str], quarantine_log: QuarantineLog
) -> None:
    """Refuses a source that puts a patient on both sides, or into training although they are in a test set.

    Args:
        studies: with what the source declares.
        key: the split key.
        site: the site's name.
        test_patients: stored names of patients in an issued test set.
        quarantine_log: lists the files of such patients.

    Raises:
        InputError: says how many, and where their files are listed.
    """
    declared_splits: dict[str, set[Split]] = defaultdict(set)
    for study in studies:
        if study.declared_split:
            declared_splits[study.patient].add(study.declared_split)
    conflicting_patients = {
        patient
        for patient, splits in declared_splits.items()
        if len(splits) > 1 or (Split.TRAIN in splits and pseudonymise_patient(key, site, patient) in test_patients)
    }
    if conflicting_patients:
        quarantine_log.add(
            QuarantineReason.PATIENT_IN_TWO_SPLITS,
            (file for study in studies if study.patient in conflicting_patients for file in study.files),
        )
        quarantine_log.write()
        raise InputError(
            f"site {site!r}: the source declares a split by which {len(conflicting_patients)} patients are in training and test, or in "
            f"training although an issued test set has them; correct it for the files in {quarantine_log.url}"
        )


def assign_splits(
    studies: Sequence[Study], key: bytes, config: SiteConfig, test_patients: Collection[str]
) -> dict[str, Split]:
    """Returns TRAIN or TEST for each patient: what the source declares for any study of theirs, else by key.

    Who is in an issued test set stays on the test side, also when ``test_fraction`` is lowered later.
    """
    patient_splits = {study.patient: study.declared_split for study in studies if study.declared_split}
    for patient in {study.patient for study in studies} - set(patient_splits):
        is_tested = pseudonymise_patient(key, config.name, patient) in test_patients
        patient_splits[patient] = Split.TEST if is_tested else split_by_key(key, patient, config.test_fraction)
    return patient_splits


def stratified_subset(
    studies: Sequence[Study], patient_splits: Mapping[str, Split], pseudonyms: Mapping[str, str], maximum: int
) -> list[Study]:
    """Returns at most ``maximum`` studies, in their order.

    Classes get even shares; within a class both sides are thinned alike, and keep at least one study each.
    Patients come in the order of their stored names, whole except for the last. Studies without an answer fill
    what is left.

    Args:
        studies: all that could be taken.
        patient_splits: side of each patient.
        pseudonyms: stored name of each patient.
        maximum: 0 takes all.
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
            strata[-1 if target.index is None else target.index][patient_splits[studies[position].patient]].append(
                position
            )
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
    """Shares of ``total`` as even as the sizes allow; what a small one leaves goes to the others."""
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
