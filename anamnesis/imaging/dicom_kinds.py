"""The kinds of DICOM objects that are not read: objects that are not images, and images of another kind."""

import re

from pydicom import Dataset
from pydicom.uid import UID

from anamnesis.imaging.errors import ReadError, ReadErrorReason

MEASURED_MODALITIES = frozenset({"CT", "MR", "PT", "NM"})
"""Modalities whose pixels are measurements, never colours."""

_OBJECT_KINDS = (
    (re.compile(r" SR |Key Object|Dose SR|Report"), ReadErrorReason.STRUCTURED_REPORT),
    (re.compile(r"^Encapsulated "), ReadErrorReason.DOCUMENT),
    (re.compile(r"^(RT (?!Image )|Tomotherapeutic|Robotic-Arm)"), ReadErrorReason.RADIOTHERAPY),
    (re.compile(r"Segmentation Storage"), ReadErrorReason.SEGMENTATION_OBJECT),
    (re.compile(r"Whole Slide"), ReadErrorReason.WHOLE_SLIDE),
    (
        re.compile(r"Presentation State|Waveform|Spectroscopy|Raw Data|Registration|Fiducials|Mapping|Directory|"
                   r"Measurements? |Hanging Protocol|Surface Scan|Tractography|Palette|Stereometric|Volume Rendering"),
        ReadErrorReason.OTHER_OBJECT,
    ),
)  # fmt: skip
_OBJECT_MODALITIES = {
    **dict.fromkeys(("SR", "KO"), ReadErrorReason.STRUCTURED_REPORT),
    "DOC": ReadErrorReason.DOCUMENT,
    **dict.fromkeys(("RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD"), ReadErrorReason.RADIOTHERAPY),
    "SEG": ReadErrorReason.SEGMENTATION_OBJECT,
    **dict.fromkeys(("PR", "REG", "FID", "RWV", "AU", "PLAN", "M3D"), ReadErrorReason.OTHER_OBJECT),
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7."  # and the classes below it
_LOCALIZER_TYPES = {"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM", "SCANOSCOPE"}
_CAPTURE_TYPES = {"SCREEN SAVE", "SCREENSHOT", "SCREEN CAPTURE", "DOSE_INFO", "DOSE REPORT"}
_LOCALIZER_DESCRIPTION = re.compile(
    r"(?<![a-z])(locali[sz]ers?|(aah)?scouts?|topograms?|surview|scanogram|scanoscope|3[- ]?plane[- ]?loc)"
    r"(?![a-z])|^\W*survey(?![a-z])",  # "Survey" begins the name of a localizer; "skeletal survey" is an examination
    re.I,
)


def check_object_kind(dataset: Dataset) -> None:
    """Refuses objects that are not images of a measurement, according to class, image type and colours.

    Raises:
        ReadError: with the reason of the kind.
    """
    file_meta, modality = getattr(dataset, "file_meta", {}), str(dataset.get("Modality") or "")
    sop_class = UID(str(dataset.get("SOPClassUID") or file_meta.get("MediaStorageSOPClassUID") or ""))
    reasons = (reason for pattern, reason in _OBJECT_KINDS if pattern.search(sop_class.name))
    if reason := next(reasons, _OBJECT_MODALITIES.get(modality)):
        raise ReadError(
            reason, f"the object is a {sop_class.name} with the modality {modality}; export image objects only"
        )
    if not dataset.get("Rows") or not dataset.get("Columns"):
        is_image_class = not sop_class or "Image" in sop_class.name
        raise ReadError(
            ReadErrorReason.NO_PIXELS if is_image_class else ReadErrorReason.OTHER_OBJECT,
            f"the object of modality {modality!r} has no rows or columns; export image objects only",
        )
    _check_image_kind(dataset, sop_class)


def is_scout_plane(dataset: Dataset, orientation: tuple[float, ...] | None) -> bool:
    """Returns whether a single slice is a scout by its plane: a CT scanner acquires only axial slices."""
    if dataset.get("Modality") != "CT" or orientation is None or "DERIVED" in image_types(dataset):
        return False
    (x1, y1, _), (x2, y2, _) = orientation[:3], orientation[3:]
    return abs(x1 * y2 - y1 * x2) < 0.5  # the normal is more than 60 degrees from the patient's long axis


def image_types(dataset: Dataset) -> set[str]:
    """Returns the values of ``ImageType`` (0008,0008)."""
    value = dataset.get("ImageType") or []
    return {str(item).strip().upper() for item in ([value] if isinstance(value, str) else value)}


def _check_image_kind(dataset: Dataset, sop_class: str) -> None:
    types, modality = image_types(dataset), str(dataset.get("Modality") or "")
    if "MOSAIC" in types:
        raise ReadError(
            ReadErrorReason.MOSAIC,
            "ImageType (0008,0008) has MOSAIC: many slices are tiles of one picture; export one file for each slice",
        )
    if modality not in MEASURED_MODALITIES:
        return
    if types & _LOCALIZER_TYPES or _LOCALIZER_DESCRIPTION.search(str(dataset.get("SeriesDescription") or "")):
        raise ReadError(
            ReadErrorReason.LOCALIZER,
            "ImageType (0008,0008) or SeriesDescription (0008,103E) has the name of a localizer; nothing is to be done",
        )
    is_colour = int(dataset.get("SamplesPerPixel") or 1) > 1 or dataset.get("PhotometricInterpretation") == (
        "PALETTE COLOR"
    )
    if is_colour or types & _CAPTURE_TYPES or f"{sop_class}.".startswith(_SECONDARY_CAPTURE):
        raise ReadError(
            ReadErrorReason.SCREEN_CAPTURE,
            f"the object of modality {modality} is a secondary capture or has colours; export the original images",
        )
