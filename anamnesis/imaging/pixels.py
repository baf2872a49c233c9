"""The forms in which pixels are kept: few dtypes, little-endian, contiguous, finite."""

import math

import numpy as np
from numpy.typing import NDArray

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.records import Image

Pixels = NDArray[np.generic]

MAXIMUM_BYTES = 1 << 31
"""An image that would take more is refused before it is read."""

_KEPT_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32)


def check_size(shape: tuple[int, ...], itemsize: int) -> None:
    """Refuses what a header announces when it would not fit into memory.

    Raises:
        ReadError: it is larger than ``MAXIMUM_BYTES``, or has no pixel.
    """
    if any(length < 0 for length in shape) or math.prod(shape) == 0:
        raise ReadError(ReadErrorReason.NO_PIXELS, f"shape {shape}")
    if math.prod(shape) * itemsize > MAXIMUM_BYTES:
        raise ReadError(ReadErrorReason.TOO_LARGE, f"shape {shape}, {itemsize} bytes a pixel")


def integer_type(low: int, high: int) -> type[np.integer] | None:
    """Returns the smallest kept integer type that holds ``low`` to ``high``, or none."""
    return next((kind for kind in _KEPT_INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max), None)


def normalise_dtype(pixels: Pixels) -> Pixels:
    """Returns ``pixels`` in a kept dtype: uint8, int16, uint16, int32 or float32; exact for every integer.

    Raises:
        ReadError: an integer does not fit into 32 bits, or the pixels are not plain numbers.
    """
    kind = pixels.dtype.kind
    if kind == "f":
        return np.ascontiguousarray(pixels, np.float32)
    if kind not in "iub":
        raise ReadError(ReadErrorReason.UNSUPPORTED_COLOURS, f"dtype {pixels.dtype}")
    if pixels.dtype.newbyteorder("=").type in _KEPT_INTEGERS:
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    # Not the smallest type for this image's values but for its type's, so that a site's images are alike.
    integer_dtype = {"int8": np.int16, "bool": np.uint8}.get(pixels.dtype.name, np.int32)
    if pixels.dtype.itemsize >= 4 and (int(pixels.min()) < -(2**31) or int(pixels.max()) >= 2**31):
        raise ReadError(ReadErrorReason.TOO_LARGE, "integers that need more than 32 bits")
    return np.ascontiguousarray(pixels, integer_dtype)


def to_image(pixels: Pixels, spacing: tuple[float, ...], axes: str) -> Image:
    """Returns a checked image; spacings are rounded to a nanometre, so that arithmetic noise is not content.

    Raises:
        ReadError: a pixel is not finite.
    """
    pixels = normalise_dtype(pixels)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ReadError(ReadErrorReason.NOT_FINITE, f"{np.count_nonzero(~np.isfinite(pixels))} of {pixels.size}")
    valid_spacing = (step if math.isfinite(step) and step > 0 else 1.0 for step in spacing)
    return Image(pixels, tuple(round(float(step), 6) for step in valid_spacing), axes)
