"""Shapes of the feature maps of a network, without computing their numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.networks.backbone import FeatureLevel
from anamnesis.networks.meta_copy import copy_to_meta
from anamnesis.networks.modes import evaluation_mode
from anamnesis.records import InputError, NetworkSettings

Maps = Callable[[Any, Tensor], Sequence[Tensor]]
"""The network and normalised images [N, C, *sides] to the maps of all levels, fine to coarse."""


def measure_levels(
    network: nn.Module, maps_of: Maps, names: Sequence[str], settings: NetworkSettings, reference_size: Sequence[int]
) -> tuple[tuple[FeatureLevel, ...], tuple[int, ...]]:
    """Returns the feature levels of a network, with the strides that its maps have, and the cells of the last one.

    Args:
        network: as the library built it.
        maps_of: the maps of all its levels.
        names: of the levels; an output of the network behind them is the level ``features``.
        settings: the network's.
        reference_size: sides that show the stride where the settings' size does not; that size itself where the
            network takes no other.

    Raises:
        InputError: the network has no maps, or cannot take images of the settings' size.
    """
    meta_network = copy_to_meta(network)

    def shapes_of(size: Sequence[int]) -> list[torch.Size]:
        return _shapes_or_error(meta_network, maps_of, settings=settings, size=size)

    shapes = shapes_of(settings.size)
    names = [*names, *["features"] * (len(shapes) - len(names))]
    for name, shape in zip(names, shapes, strict=True):
        if len(shape) != 2 + len(settings.size):
            raise InputError(
                f"network.type: {settings.type} has no feature maps at {name!r}: its output has {len(shape)} axes; "
                "choose a network with feature maps"
            )
    side, side_cells = settings.size[-1], [shape[-1] for shape in shapes]
    if not all(_shows_stride(side, cells) for cells in side_cells) and tuple(reference_size) != settings.size:
        side = reference_size[-1]
        side_cells = [shape[-1] for shape in shapes_of(reference_size)]
    levels = tuple(
        FeatureLevel(name, shape[1], max(1, round(side / cells)))
        for name, shape, cells in zip(names, shapes, side_cells, strict=True)
    )
    return levels, tuple(shapes[-1][2:])


def _shows_stride(side: int, cells: int) -> bool:
    """Returns whether no other power of two gives as many cells, also where the last cell is cut off."""
    stride = side // cells
    return cells > 1 and stride * cells == side and stride.bit_count() == 1


def _shapes_or_error(
    network: nn.Module, maps_of: Maps, settings: NetworkSettings, size: Sequence[int]
) -> list[torch.Size]:
    try:
        with evaluation_mode(network), torch.no_grad():
            images = torch.zeros(1, settings.channels, *size, device="meta")
            shapes = [maps.shape for maps in maps_of(network, images)]
    except (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError) as error:
        raise _size_error(settings, str(error) or type(error).__name__) from error
    if any(0 in shape for shape in shapes):
        raise _size_error(settings, "its last maps would be empty")
    return shapes


def _size_error(settings: NetworkSettings, cause: str) -> InputError:
    summary = " ".join(cause.split())[:200]
    return InputError(
        f"network.input.size: {settings.type} cannot take images of {list(settings.size)}: {summary}; choose a larger "
        "size, or multiples of the network's patch or window"
    )
