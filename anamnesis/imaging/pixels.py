"""The stored form of pixels: few dtypes, little-endian, contiguous, finite."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.records import Image

Pixels = NDArray[np.generic]

MAXIMUM_BYTES = 1 << 31
"""Larger images are refused before they are read."""

_STORED_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32)


def check_size(shape: tuple[int, ...], itemsize: int) -> None:
    """Refuses an image that is too large, according to its header.

    Raises:
        ReadError: the image is larger than ``MAXIMUM_BYTES``, or has no pixel.
    """
    if any(length < 0 for length in shape) or math.prod(shape) == 0:
        raise ReadError(
            ReadErrorReason.NO_PIXELS,
            f"expected 1 or more along each axis, found the shape {shape}; export the file again",
        )
    if math.prod(shape) * itemsize > MAXIMUM_BYTES:
        raise ReadError(
            ReadErrorReason.TOO_LARGE,
            f"expected at most {MAXIMUM_BYTES} bytes, found the shape {shape} with {itemsize} bytes for each pixel; "
            "export smaller images",
        )


def integer_type(low: int, high: int) -> type[np.integer] | None:
    """Returns the smallest stored integer type that holds ``low`` to ``high``, or none."""
    return next((kind for kind in _STORED_INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max), None)


def normalise_dtype(pixels: Pixels) -> Pixels:
    """Returns ``pixels`` in a stored dtype: uint8, int16, uint16, int32 or float32; exact for every integer.

    Raises:
        ReadError: an integer does not fit into 32 bits, or the pixels are not plain numbers.
    """
    kind = pixels.dtype.kind
    if kind == "f":
        return np.ascontiguousarray(pixels, np.float32)
    if kind not in "iub":
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_COLOURS,
            f"expected pixels that are integers or real numbers, found {pixels.dtype}; export the file again",
        )
    if pixels.dtype.newbyteorder("=").type in _STORED_INTEGERS:
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    # The dtype, not the values, determines the stored type, so that all images of a site have the same type.
    integer_dtype = {"int8": np.int16, "bool": np.uint8}.get(pixels.dtype.name, np.int32)
    if pixels.dtype.itemsize >= 4 and (int(pixels.min()) < -(2**31) or int(pixels.max()) >= 2**31):
        raise ReadError(
            ReadErrorReason.TOO_LARGE, "a pixel needs more than 32 bits; export the image with 32 bits or fewer"
        )
    return np.ascontiguousarray(pixels, integer_dtype)


def to_image(
    pixels: Pixels,
    spacing: tuple[float, ...],
    axes: str,
    affine: NDArray[np.float64] | None = None,
    slice_axis: int = 0,
) -> Image:
    """Returns a checked image; spacings are rounded to a nanometre, so that rounding errors do not change the digest.

    Raises:
        ReadError: a pixel is not finite, or a spacing is not a positive number.
    """
    pixels = normalise_dtype(pixels)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ReadError(
            ReadErrorReason.NOT_FINITE,
            f"{np.count_nonzero(~np.isfinite(pixels))} of {pixels.size} pixels are NaN or infinite; "
            "export the image again",
        )
    if not all(math.isfinite(step) and step > 0 for step in spacing):
        raise ReadError(
            ReadErrorReason.UNUSABLE_SPACING,
            f"expected positive numbers of millimetres, found {list(spacing)}; export the image again",
        )
    rows = () if affine is None else tuple(_rounded(row) for row in affine.tolist())
    return Image(pixels, _rounded(spacing), axes, rows, slice_axis)


def _rounded(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(number), 6) + 0.0 for number in numbers)  # + 0.0: never -0.0
