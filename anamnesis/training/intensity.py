"""From stored pixels to the tensors that networks read: [N, channels, *sides] in [0, 1], of two or three sides."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.imaging.contrast import HOUNSFIELD_WINDOW

PERCENTILES = (0.005, 0.995)
MAXIMUM_SORTED = 1 << 24
"""Of an image with more pixels, a part gives the percentiles."""


def to_unit_range(pixels: Tensor, modality: str, is_byte: bool) -> Tensor:
    """Scales images of one shape to [0, 1].

    Eight-bit images keep their scale. CT in Hounsfield units takes a fixed window, because the unit is absolute; all
    other images are scaled between their own 0.5 and 99.5 percentiles.

    Args:
        pixels: [N, ...] float32.
        modality: DICOM modality code.
        is_byte: whether the source was eight-bit.
    """
    if is_byte:
        return pixels / 255.0
    if modality == "CT":
        low, high = HOUNSFIELD_WINDOW
        return (pixels - low).div_(high - low).clamp_(0, 1)
    flat = pixels.flatten(1)
    if flat.shape[1] > MAXIMUM_SORTED:  # a large volume: every k-th voxel gives the same percentiles closely
        flat = flat[:, :: flat.shape[1] // MAXIMUM_SORTED + 1]
    bounds = percentiles(flat)
    low_each, high_each = (bound.view(-1, *[1] * (pixels.dim() - 1)) for bound in bounds)
    scaled: Tensor = (pixels - low_each).div_((high_each - low_each).clamp_min(1e-6)).clamp_(0, 1)
    return scaled


def percentiles(values: Tensor) -> Tensor:
    """Returns ``PERCENTILES`` [2, N] of each row of values [N, P], to the bit those of ``torch.quantile``.

    They are selected, not sorted: an image of 2,000 pixels takes a sixth of the time.
    """
    ranks = torch.tensor(PERCENTILES) * (values.shape[1] - 1)
    below, above = ranks.floor().long(), ranks.ceil().long()
    selected = torch.from_numpy(np.partition(values.numpy(), sorted({*below.tolist(), *above.tolist()}), axis=1))
    return selected[:, below].lerp(selected[:, above], ranks - below).T


def to_planes(pixels: Tensor, axes: str, slice_axis: int = 0) -> Tensor:
    """Returns [N, C, H, W]: moves colour channels to the front, and takes the middle slice of volumes.

    The middle slice is one of the slices that were acquired. A coronal or sagittal slice has the head at the top.

    Args:
        pixels: [N, ...] in the order of ``axes``.
        axes: see ``records.Image``.
        slice_axis: see ``records.Image``.
    """
    if axes == "YXC":
        return pixels.movedim(-1, 1)
    if axes == "ZYX":
        planes = pixels.select(1 + slice_axis, pixels.shape[1 + slice_axis] // 2)[:, None]
        return planes if slice_axis == 0 else planes.flip(2)
    return pixels[:, None]


def to_sides(pixels: Tensor, axes: str, slice_axis: int, spatial_dims: int) -> Tensor:
    """Returns [N, C, *sides] with as many sides as the network reads.

    A network of two sides reads the middle slice of a volume; one of three sides reads volumes [N, 1, D, H, W], in the
    order in which they are stored: from feet to head, front to back, right to left.

    Args:
        pixels: [N, ...] in the order of ``axes``.
        axes: see ``records.Image``.
        slice_axis: see ``records.Image``.
        spatial_dims: 2 or 3.
    """
    if spatial_dims == 2:
        return to_planes(pixels, axes, slice_axis)
    return pixels[:, None]


def to_channels(images: Tensor, channels: int) -> Tensor:
    """Converts colour to grey (mean of the channels) or repeats grey, to get ``channels`` channels."""
    if images.shape[1] == channels:
        return images
    grey = images.mean(dim=1, keepdim=True)
    return grey.expand(-1, channels, *grey.shape[2:])


def resize(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resizes [N, C, *sides] with an anti-aliased linear filter along each side; images of that size do not change.

    Sides are counted in pixels or voxels: their spacing in millimetres is not used.
    """
    if tuple(images.shape[2:]) == size:
        return images
    if len(size) == 2:
        return functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    depth, height, width = size
    count, channels, slices = images.shape[:3]
    planes = resize(images.flatten(1, 2), (height, width)).reshape(count, channels, slices, height, width)
    columns = resize(planes.movedim(-1, 2).flatten(1, 2), (depth, height))
    return columns.reshape(count, channels, width, depth, height).movedim(2, -1)


def resize_mask(masks: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resizes classes [N, 1, *sides] to those of the nearest pixels: no new values."""
    return functional.interpolate(masks, size, mode="nearest")
