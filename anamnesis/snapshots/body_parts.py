"""The body parts of a site: DICOM images of other ones are not for it, neither in training nor in a prediction."""

from anamnesis.imaging import Header
from anamnesis.records import SiteConfig


def is_other_body_part(config: SiteConfig, header: Header) -> bool:
    """Returns whether the site declares body parts, and a DICOM image has another one, or none."""
    is_dicom = bool(header.instance or header.series or header.modality)
    return bool(config.body_parts) and is_dicom and header.body_part not in config.body_parts
