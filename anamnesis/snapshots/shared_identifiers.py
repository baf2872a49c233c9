"""A check for patient identifiers that many people share, before they decide a split for good."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from anamnesis.records import InputError, SiteConfig
from anamnesis.snapshots.keys import pseudonymise_patient
from anamnesis.snapshots.quarantine import QuarantineLog, QuarantineReason
from anamnesis.snapshots.studies import Study

MINIMUM_SAMPLES = 4
"""Below it, half of the samples is one or two, which says nothing about an identifier."""


def check_identifiers(config: SiteConfig, studies: Sequence[Study]) -> None:
    """Refuses a source in which one identifier stands for too many studies: probably for many people.

    Raises:
        InputError: one identifier has more than ``maximum_studies_per_patient`` studies, or more than half of the
            samples; the message does not name it.
    """
    if not config.maximum_studies_per_patient or not studies:
        return
    sample_count = max(Counter(study.patient for study in studies).values())
    study_count = max(_count_studies(studies).values())
    if study_count > config.maximum_studies_per_patient:
        problem = f"one patient identifier has {study_count} studies, more than {config.maximum_studies_per_patient}"
    elif len(studies) >= MINIMUM_SAMPLES and sample_count > len(studies) / 2:
        problem = f"one patient identifier has {sample_count} of the {len(studies)} samples, more than half"
    else:
        return
    raise InputError(
        f"site {config.name!r}: {problem}: it probably stands for many people, such as all anonymous patients, and "
        "the split would be wrong for good. No test set was frozen. Ask the site for one pseudonym for each patient; "
        "if the identifiers are right, set maximumStudiesPerPatient to a higher number, or to 0 for no check"
    )


def quarantine_shared_identifiers(
    config: SiteConfig,
    studies: Sequence[Study],
    key: bytes,
    frozen_patients: Collection[str],
    quarantine_log: QuarantineLog,
) -> list[Study]:
    """Returns the studies of a later ingest without those under an identifier with too many of them.

    Identifiers of frozen patients passed the check before the set was frozen, and never train.

    Args:
        config: settings of the site.
        studies: the studies.
        key: the split key.
        frozen_patients: pseudonyms of the patients in issued test sets and their calibration sets.
        quarantine_log: receives the files of the other studies.
    """
    limit = config.maximum_studies_per_patient
    shared_identifiers = {
        patient
        for patient, count in _count_studies(studies).items()
        if limit and count > limit and pseudonymise_patient(key, config.name, patient) not in frozen_patients
    }
    files = (file for study in studies if study.patient in shared_identifiers for file in study.files)
    quarantine_log.add(QuarantineReason.SHARED_IDENTIFIER, files)
    return [study for study in studies if study.patient not in shared_identifiers]


def _count_studies(studies: Sequence[Study]) -> dict[str, int]:
    studies_by_patient: dict[str, set[str]] = defaultdict(set)
    for study in studies:
        studies_by_patient[study.patient].add(study.study)
    return {patient: len(names) for patient, names in studies_by_patient.items()}
