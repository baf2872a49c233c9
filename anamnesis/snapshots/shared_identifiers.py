"""A check for patient identifiers that many people share, before they decide a split for good."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from anamnesis.records import InputError, SiteConfig
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
    sample_counts = Counter(study.patient for study in studies)
    studies_by_patient: dict[str, set[str]] = defaultdict(set)
    for study in studies:
        studies_by_patient[study.patient].add(study.study)
    sample_count = max(sample_counts.values())
    study_count = max(map(len, studies_by_patient.values()))
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
