"""The axes of one image of an NPZ array, according to the array's shape."""

from anamnesis.imaging.errors import ReadError, ReadErrorReason
from anamnesis.imaging.pixels import Pixels

_MOST_CHANNELS = 4
"""An axis this short may be an axis of channels, so a volume with fewer slices needs a fifth axis of length one."""


def image_axes(shape: tuple[int, ...]) -> str:
    """Returns the axes of one image of an array: [N, Y, X], [N, Y, X, 1], [N, 1, Y, X], [N, Y, X, 3] (colour),
    [N, Z, Y, X] with more than four slices and columns, or [N, Z, Y, X, 1].

    Raises:
        ReadError: the array has another shape, or its channels are not grey or RGB along the last axis.
    """
    if len(shape) == 3 and shape[-1] > _MOST_CHANNELS:
        return "YX"
    if len(shape) == 4 and (shape[-1] == 1 or shape[1] == 1):
        return "YX"
    if len(shape) == 4 and shape[-1] == 3:
        return "YXC"
    if len(shape) == 5 and shape[-1] == 1:
        return "ZYX"
    if len(shape) == 4 and min(shape[1], shape[-1]) > _MOST_CHANNELS:
        return "ZYX"
    if len(shape) in (3, 4):
        raise ReadError(
            ReadErrorReason.UNSUPPORTED_CHANNELS,
            f"expected [N, Y, X], [N, Y, X, 3] or [N, Z, Y, X, 1], found the shape {shape}, whose axis of "
            f"{min(shape[1:])} may be channels; move three colours to the last axis, write other channels as grey, or "
            "add a last axis of one to volumes",
        )
    raise ReadError(
        ReadErrorReason.UNEXPECTED_LAYOUT,
        f"expected an array of images with 3 to 5 axes, the first for the images, found the shape {shape}; "
        "write the array again",
    )


def drop_single_axis(pixels: Pixels, axes: str) -> Pixels:
    """Returns one image without its axis of one channel."""
    if pixels.ndim == len(axes):
        return pixels
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels[0]
