"""A check of two identifiers of one patient: that of the label table, and that of the file."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from anamnesis.records import SiteConfig
from anamnesis.snapshots.image_annotations import AnnotatedImage
from anamnesis.snapshots.missing_identifiers import MINIMUM_STUDIES
from anamnesis.snapshots.patient_ids import normalise_patient_id


def find_patient_conflicts(config: SiteConfig, images: Sequence[AnnotatedImage]) -> set[str]:
    """Returns the names of images whose PatientID has several patients: in the table, or in the table and the file.

    One person would be on both sides of a split. A PatientID that many people share, such as ANON, says nothing about
    them: the identifiers of the table count then.

    Args:
        config: settings of the site.
        images: the images of the source.
    """
    if not config.maximum_studies_per_patient:
        return set()
    file_patients = [normalise_patient_id(image.header.patient) for image in images]
    patients: dict[str, set[str]] = defaultdict(set)
    studies: dict[str, set[str]] = defaultdict(set)
    for image, file_patient in zip(images, file_patients, strict=True):
        patients[file_patient].add(image.annotation.patient)
        studies[file_patient].add(image.header.study or image.name)
    counts = Counter(file_patients)
    limit = len(images) / 2 if len(images) >= MINIMUM_STUDIES else len(images)
    conflicting = {
        file_patient
        for file_patient, names in patients.items()
        if file_patient
        and len(names) > 1
        and len(studies[file_patient]) <= config.maximum_studies_per_patient
        and counts[file_patient] <= limit
    }
    return {
        image.name for image, file_patient in zip(images, file_patients, strict=True) if file_patient in conflicting
    }
