"""Pixels of a DICOM object: its stored bits, and its modality rescale."""

import math

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import get_expected_length, pixel_array

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.pixels import Pixels, integer_type

_PHYSICAL_MODALITIES = {"CT", "PT", "NM"}  # larger is more in every display, so MONOCHROME1 inverts the display only
_HOUNSFIELD_TYPES = {"", "HU", "HU_MOD", "US"}


def decode_pixels(dataset: Dataset) -> Pixels:
    """Returns colour as RGB; grey after the modality rescale (DICOM PS3.3 C.11.1), larger values are brighter.

    Raises:
        ReadError: the pixels do not fit the header.
    """
    _check_length(dataset)
    slope, intercept = _read_rescale(dataset)
    if int(dataset.get("BitsAllocated") or 0) in (8, 16, 32):
        low, high = _stored_range(dataset)
    stored_pixels = pixel_array(dataset, correct_unused_bits=False)  # pydicom would ignore HighBit
    if stored_pixels.ndim == 3 or stored_pixels.dtype.kind == "f":
        return stored_pixels
    if stored_pixels.dtype.itemsize * 8 != int(dataset.BitsAllocated):  # one bit for each pixel
        return stored_pixels
    padding = _find_padding(dataset, stored_pixels)
    values = _select_bits(dataset, stored_pixels, padding)
    if dataset.PhotometricInterpretation == "MONOCHROME1" and dataset.get("Modality") not in _PHYSICAL_MODALITIES:
        values = (low + high - values.astype(np.int64)).astype(values.dtype)
    if padding is not None:  # which may be outside the range of the stored bits
        low, high = min(low, int(values.min())), max(high, int(values.max()))
    rescaled = _rescale(values, low, high, slope=slope, intercept=intercept)
    return rescaled if padding is None else _fill_padding(dataset, rescaled, padding)


def _check_length(dataset: Dataset) -> None:
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            return
        raise ReadError(ReadErrorReason.NO_PIXELS, "the file has no PixelData (7FE0,0010); export the image again")
    expected, length = get_expected_length(dataset), len(dataset.PixelData)
    if (
        dataset["PixelData"].is_undefined_length
        or length < expected
        or any(dataset.PixelData[expected + expected % 2 :])
    ):  # zeros are padding
        raise ReadError(
            ReadErrorReason.UNREADABLE,
            f"PixelData (7FE0,0010): expected {expected} bytes for rows, columns and bits of the header, "
            f"found {length}; export the image again",
        )


def _read_rescale(dataset: Dataset) -> tuple[float, float]:
    modality, names = dataset.get("Modality"), ("RescaleSlope", "RescaleIntercept")
    present_names = [name for name in names if name in dataset]
    if modality == "CT" and str(dataset.get("RescaleType") or "").strip().upper() not in _HOUNSFIELD_TYPES:
        raise ReadError(
            ReadErrorReason.OTHER_UNIT,
            f"RescaleType (0028,1054): expected HU, found {dataset.RescaleType}; export the series in Hounsfield units",
        )
    if not present_names:
        if modality == "CT" and not dataset.get("PixelRepresentation"):
            raise ReadError(
                ReadErrorReason.OTHER_UNIT,
                "the CT has no RescaleIntercept (0028,1052), and its pixels have no sign: they are not Hounsfield "
                "units; export the original images",
            )
        return 1.0, 0.0
    values = [float(dataset[name].value) if _has_number(dataset, name) else math.nan for name in names]
    if not all(math.isfinite(value) for value in values) or values[0] == 0:
        raise ReadError(
            ReadErrorReason.UNUSABLE_RESCALE,
            "expected numbers in both RescaleSlope (0028,1053), not zero, and RescaleIntercept (0028,1052); "
            "export the image again",
        )
    return values[0], values[1]


def _has_number(dataset: Dataset, name: str) -> bool:
    return name in dataset and str(dataset[name].value if dataset[name].value is not None else "").strip() != ""


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    """Returns the range of values according to ``BitsStored``."""
    allocated, signed = int(dataset.BitsAllocated), bool(dataset.get("PixelRepresentation"))
    stored = int(dataset.get("BitsStored") or allocated)
    high_bit = int(dataset.get("HighBit", stored - 1))
    if not 0 < stored <= high_bit + 1 <= allocated:
        raise ReadError(
            ReadErrorReason.INCONSISTENT_BITS,
            f"BitsAllocated (0028,0100) {allocated}, BitsStored (0028,0101) {stored} and HighBit (0028,0102) "
            f"{high_bit} contradict each other; export the image again",
        )
    return (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)


def _select_bits(dataset: Dataset, stored_pixels: Pixels, padding: NDArray[np.bool_] | None) -> Pixels:
    """Returns the bits of each pixel from ``HighBit`` down; the other bits may be overlays.

    Raises:
        ReadError: the other bits are neither empty, nor a sign, nor a declared overlay.
    """
    allocated = int(dataset.BitsAllocated)
    stored = int(dataset.get("BitsStored") or allocated)
    shift = int(dataset.get("HighBit", stored - 1)) + 1 - stored
    if stored == allocated:
        return stored_pixels
    left = allocated - stored - shift
    # Two shifts select the bits, and keep the sign of signed pixels.
    values: Pixels = (stored_pixels << left) >> (allocated - stored)  # type: ignore[operator]
    if shift or _has_embedded_overlay(dataset):
        return values
    differs = values != stored_pixels
    if padding is not None:
        differs &= ~padding
    is_unextended_sign = stored_pixels.dtype.kind == "i" and stored_pixels.min() >= 0
    if differs.any() and not (is_unextended_sign and stored_pixels.max() < 1 << stored):
        raise ReadError(
            ReadErrorReason.INCONSISTENT_BITS,
            f"{np.count_nonzero(differs)} pixels do not fit into the {stored} bits of BitsStored (0028,0101); "
            "export the image again",
        )
    return values if padding is None else np.where(padding, stored_pixels, values)


def _has_embedded_overlay(dataset: Dataset) -> bool:
    overlays = dataset[0x60000000:0x61000000]
    return any(element.tag.element == 0x0102 and int(element.value or 0) > 0 for element in overlays)


def _find_padding(dataset: Dataset, stored_pixels: Pixels) -> NDArray[np.bool_] | None:
    """Returns the pixels outside the image, or none (DICOM PS3.3 C.7.5.1.1.2)."""
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    padding = np.greater_equal(stored_pixels, low) & np.less_equal(stored_pixels, high)
    return padding if padding.any() and not padding.all() else None


def _fill_padding(dataset: Dataset, pixels: Pixels, padding: NDArray[np.bool_]) -> Pixels:
    """Gives padding the smallest value of the image, so that it does not stretch the range of values.

    Hounsfield units have a fixed range; there the padding stays as it is stored.
    """
    if dataset.get("Modality") == "CT":
        return pixels
    return np.where(padding, pixels[~padding].min(), pixels).astype(pixels.dtype)


def _rescale(stored_pixels: Pixels, low: int, high: int, slope: float, intercept: float) -> Pixels:
    """Returns integers where that is exact. The range of the header, not of the pixels, determines their type."""
    if slope == 1 and intercept == 0:
        return stored_pixels
    if slope.is_integer() and intercept.is_integer():
        value_range = sorted((low * int(slope) + int(intercept), high * int(slope) + int(intercept)))
        if kind := integer_type(*value_range):
            return (stored_pixels.astype(np.int64) * int(slope) + int(intercept)).astype(kind)
    return np.asarray(stored_pixels.astype(np.float64) * slope + intercept, np.float32)
