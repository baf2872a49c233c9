"""Refusal of images in which a network would see one grey value, or values in another unit than the modality's."""

import numpy as np

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.formats import Format
from anamnesis.records import Image

HOUNSFIELD_WINDOW = (-1000.0, 1000.0)
"""The window that networks read of a CT."""

_SMALLEST_HOUNSFIELD_RANGE = 10.0
_PERCENTILES = (0.5, 99.5)
_SAMPLED_PIXELS = 1 << 20


def check_contrast(image: Image, modality: str, file_format: Format) -> None:
    """Refuses a constant or saturated image, and a CT whose values cannot be Hounsfield units.

    PNG, NPZ and NIfTI state no unit. A CT of more than 8 bits in them needs air or fat below 0 HU: without it, its
    values probably have an offset. Images of 8 bits are pictures of a window, whose values have no unit.

    Args:
        image: an image, not a mask.
        modality: DICOM code.
        file_format: the format of its file.

    Raises:
        ReadError: the image has no contrast or another unit.
    """
    flat = image.pixels.reshape(-1)
    low, high = flat.min(), flat.max()
    is_hounsfield = modality == "CT" and image.pixels.dtype != np.uint8
    is_shifted = low >= 0 and (image.pixels.dtype == np.uint16 or high > HOUNSFIELD_WINDOW[1])
    if is_hounsfield and is_shifted and file_format is not Format.DICOM:
        raise ReadError(
            ReadErrorReason.OTHER_UNIT,
            f"expected Hounsfield units, where air and fat are negative, found values from {low} to {high}; "
            "export the CT in Hounsfield units as DICOM, NIfTI or signed NPZ, or as a picture with 8 bits",
        )
    values = flat[:: flat.size // _SAMPLED_PIXELS + 1].astype(np.float32)
    if is_hounsfield:
        values = values.clip(*HOUNSFIELD_WINDOW)
    darkest, brightest = np.percentile(values, _PERCENTILES)
    if low == high or brightest - darkest < (_SMALLEST_HOUNSFIELD_RANGE if is_hounsfield else 0):
        raise ReadError(
            ReadErrorReason.NO_CONTRAST,
            f"found values from {low} to {high}"
            + (
                f"; the window of CT is {HOUNSFIELD_WINDOW[0]:g} to {HOUNSFIELD_WINDOW[1]:g} HU"
                if is_hounsfield
                else ""
            )
            + "; export the image again, or remove it",
        )
