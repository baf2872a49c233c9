"""A check for DICOM files without a patient: their studies would count as people."""

from collections.abc import Sequence

from anamnesis.records import InputError, SiteConfig
from anamnesis.snapshots.image_annotations import AnnotatedImage

MINIMUM_STUDIES = 4
"""Below it, half of the images says nothing."""


def check_missing_identifiers(config: SiteConfig, images: Sequence[AnnotatedImage]) -> None:
    """Refuses a source in which the empty identifier stands for too many studies, as every other identifier.

    Raises:
        InputError: more than ``maximum_studies_per_patient`` studies, or more than half of the images, have no patient.
    """
    nameless_images = [image.header.study for image in images if image.header.study and not image.annotation.patient]
    study_count, limit = len(set(nameless_images)), config.maximum_studies_per_patient
    is_most = study_count >= MINIMUM_STUDIES and len(nameless_images) > len(images) / 2
    if limit and (study_count > limit or is_most):
        raise InputError(
            f"site {config.name!r}: {len(nameless_images)} of {len(images)} images have no PatientID, in "
            f"{study_count} studies: studies of one person would be on both sides of the split. Nothing "
            "was stored. Ask the site for one pseudonym for each patient; if each study is another person, set "
            "maximumStudiesPerPatient to 0"
        )
