"""Patches of volumes: drawn by MONAI's samplers for training, and the windows that inference and statistics read."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from anamnesis.methods.base import MASK
from anamnesis.records import InputError, PatchSampler, PatchSettings

OVERLAP = 0.25
"""Share of a window that its neighbour repeats, along each side; MONAI's own default."""
Window = tuple[slice, slice, slice]


def draw_patches(
    inputs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    settings: PatchSettings,
    size: tuple[int, ...],
    seed: int,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns inputs and targets of random patches, those of one volume one after the other.

    All modalities and the mask of a volume have the same places; a class is repeated for each patch.

    Args:
        inputs: modality -> volumes [N, C, D, H, W].
        targets: of the volumes, see ``Batch``; masks are [N, D, H, W].
        settings: the sampler, and how many patches a volume gives.
        size: of a patch.
        seed: equal seeds give equal places.

    Raises:
        InputError: the sampler needs masks, and there are none.
    """
    volumes = {f"input {name}": images for name, images in inputs.items()}
    if MASK in targets:
        volumes[MASK] = targets[MASK][:, None]
    sampler = _make_sampler(tuple(volumes), settings, size)
    sampler.set_random_state(seed % (1 << 32))
    crops: list[dict[str, Tensor]] = []
    for row in range(len(next(iter(inputs.values())))):
        crops += sampler({name: images[row] for name, images in volumes.items()})
    patches = {name: torch.stack([torch.as_tensor(crop[name]) for crop in crops]) for name in volumes}
    patch_targets = {name: target.repeat_interleave(settings.per_volume, 0) for name, target in targets.items()}
    if MASK in targets:
        patch_targets[MASK] = patches[MASK][:, 0]
    return {name: patches[f"input {name}"] for name in inputs}, patch_targets


def windows_of(volume: tuple[int, ...], size: tuple[int, ...]) -> list[Window]:
    """Returns the windows of ``size`` that cover a volume, in order: those of MONAI's sliding window.

    Neighbours overlap by ``OVERLAP``; the last window along a side ends with the volume.
    """
    starts = []
    for side, window_side in zip(volume, size, strict=True):
        step = max(1, int(window_side * (1 - OVERLAP)))
        starts.append([*range(0, side - window_side, step), side - window_side])
    depth, height, width = (
        [slice(start, start + side) for start in side_starts] for side_starts, side in zip(starts, size, strict=True)
    )
    return list(product(depth, height, width))


def crop_window(volumes: Tensor, window: Window) -> Tensor:
    """Returns a window of [..., D, H, W]: [..., *size]."""
    return volumes[..., window[0], window[1], window[2]]


def crop_windows(volumes: Tensor, rows: Sequence[int], windows: Sequence[Window]) -> Tensor:
    """Returns one window of each of some rows of [N, ..., D, H, W]: [len(rows), ..., *size]."""
    return torch.stack([crop_window(volumes[row], window) for row, window in zip(rows, windows, strict=True)])


def _make_sampler(names: tuple[str, ...], settings: PatchSettings, size: tuple[int, ...]) -> Any:
    from monai.transforms.croppad.dictionary import RandCropByPosNegLabeld, RandSpatialCropSamplesd  # takes a second

    if settings.sampler is PatchSampler.RANDOM:
        return RandSpatialCropSamplesd(names, roi_size=size, num_samples=settings.per_volume, random_size=False)
    if MASK not in names:
        raise InputError(
            "network.input.patches.sampler: expected Random, because the task has no masks that say what the "
            "foreground is, found ForegroundBalanced"
        )
    return RandCropByPosNegLabeld(names, label_key=MASK, spatial_size=size, num_samples=settings.per_volume)
