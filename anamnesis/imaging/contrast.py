"""Refusal of images in which a network would see one grey value, or values in another unit than the modality's."""

import numpy as np

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.formats import Format
from anamnesis.records import Image

HOUNSFIELD_WINDOW = (-1000.0, 1000.0)
"""The window that networks read of a CT."""

_SMALLEST_HOUNSFIELD_RANGE = 10.0
_LARGEST_HOUNSFIELD = 32767
_SMALLEST_BYTE_RANGE = 2  # of 255; an image of only 0 and 1 is nearly black
_LARGEST_SHARE = 0.995


def check_contrast(image: Image, modality: str, file_format: Format) -> None:
    """Refuses a constant or saturated image, and a CT whose values cannot be Hounsfield units.

    A CT needs air or fat below 0 HU: without it, its values probably have an offset, also in DICOM, where a program may
    have lost the intercept. PNG, NPZ and NIfTI state no unit, so their unsigned values are refused as well. No scanner
    has more than 16 bits with a sign. Images of 8 bits are pictures of a window, whose values have no unit.

    Args:
        image: an image, not a mask.
        modality: DICOM code.
        file_format: the format of its file.

    Raises:
        ReadError: the image has no contrast or another unit.
    """
    pixels = image.pixels
    low, high = pixels.min(), pixels.max()
    is_byte = pixels.dtype == np.uint8
    is_hounsfield = modality == "CT" and not is_byte
    is_unsigned = pixels.dtype == np.uint16 and file_format is not Format.DICOM
    is_shifted = low >= 0 and (is_unsigned or high > HOUNSFIELD_WINDOW[1])
    if is_hounsfield and (is_shifted or high > _LARGEST_HOUNSFIELD):
        raise ReadError(
            ReadErrorReason.OTHER_UNIT,
            f"expected Hounsfield units, where air and fat are negative, found values from {low} to {high}; "
            "export the CT in Hounsfield units as DICOM, NIfTI or signed NPZ, or as a picture with 8 bits",
        )
    darkest, brightest = np.clip([low, high], *HOUNSFIELD_WINDOW).tolist() if is_hounsfield else (low, high)
    smallest_range = _SMALLEST_HOUNSFIELD_RANGE if is_hounsfield else _SMALLEST_BYTE_RANGE if is_byte else 0
    is_constant = low == high or float(brightest) - float(darkest) < smallest_range
    if is_constant or max((pixels <= darkest).mean(), (pixels >= brightest).mean()) > _LARGEST_SHARE:
        window = (
            f", the window of CT is {HOUNSFIELD_WINDOW[0]:g} to {HOUNSFIELD_WINDOW[1]:g} HU" if is_hounsfield else ""
        )
        raise ReadError(
            ReadErrorReason.NO_CONTRAST,
            f"found values from {low} to {high}{window}; more than {_LARGEST_SHARE:.1%} of the pixels would have one "
            "value; export the image again, or remove it",
        )
