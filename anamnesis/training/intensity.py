"""From stored pixels to the tensors that networks read: [N, channels, H, W] in [0, 1]."""

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.imaging.contrast import HOUNSFIELD_WINDOW

PERCENTILES = (0.005, 0.995)
MAXIMUM_QUANTILE = 1 << 24  # torch.quantile takes no more elements at a time


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
        return ((pixels - low) / (high - low)).clamp(0, 1)
    flat = pixels.flatten(1)
    rows = max(1, MAXIMUM_QUANTILE // flat.shape[1])
    quantiles = torch.tensor(PERCENTILES)
    if flat.shape[1] > MAXIMUM_QUANTILE:  # a large volume: every k-th voxel gives the same percentiles closely
        flat = flat[:, :: flat.shape[1] // MAXIMUM_QUANTILE + 1]
    bounds = torch.cat([torch.quantile(chunk, quantiles, dim=1) for chunk in torch.split(flat, rows)], dim=1)
    low_each, high_each = (bound.view(-1, *[1] * (pixels.dim() - 1)) for bound in bounds)
    scaled: Tensor = (pixels - low_each) / (high_each - low_each).clamp_min(1e-6)
    return scaled.clamp(0, 1)


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


def to_channels(images: Tensor, channels: int) -> Tensor:
    """Converts colour to grey (mean of the channels) or repeats grey, to get ``channels`` channels."""
    if images.shape[1] == channels:
        return images
    grey = images.mean(dim=1, keepdim=True)
    return grey.expand(-1, channels, -1, -1)


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes [N, C, H, W] with an anti-aliased bilinear filter; images of that size do not change."""
    if tuple(images.shape[-2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
