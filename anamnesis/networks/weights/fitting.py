"""Compares the tensors of a file with those of a network, and converts what a stated rule converts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.networks.weights.file_formats import WeightsFile
from anamnesis.networks.weights.mappings import HEAD_NAMES, MAPPINGS, WeightsMapping
from anamnesis.records import ChannelRule, InputError

_LISTED = 5
"""Names of a kind in a message; their number is stated."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    """The classification head of a file.

    Attributes:
        weight: [K, F].
        bias: [K].
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What weights must fit.

    Attributes:
        type: ``network.type``, for messages.
        tensors: the network's own tensors, by the names of its library.
        channels: of the input.
        size: sides of the input in pixels.
    """

    type: str
    tensors: Mapping[str, Tensor]
    channels: int
    size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """Tensors that fit a network.

    Attributes:
        tensors: every tensor of the network, by the names of its library, in its types.
        head: the classification head of the file, which the network does not have; none where there is none.
        notes: one sentence for each thing that was ignored or converted.
    """

    tensors: Mapping[str, Tensor]
    head: LinearHead | None
    notes: tuple[str, ...]


def fit_weights(
    weights: WeightsFile, mapping: WeightsMapping, shape: NetworkShape, channel_rule: ChannelRule
) -> FittedWeights:
    """Returns the tensors of ``weights`` for a network.

    Args:
        weights: of the file.
        mapping: how its names become the network's.
        shape: of the network.
        channel_rule: how the first convolution is converted to another number of channels.

    Raises:
        InputError: tensors are missing, unexpected, or have another shape; the message lists them, each with the
            nearest name.
    """
    translated = dict(mapping.translate(weights.tensors))
    head_tensors = {name: translated.pop(name) for name in list(translated) if _is_of_head(name, shape.tensors)}
    notes = [f"ignored the classification head {name} {list(head_tensors[name].shape)}" for name in head_tensors]
    for name, tensor in shape.tensors.items():
        if name.endswith("num_batches_tracked"):  # a count of training steps, which old files do not have
            translated.setdefault(name, tensor)
    if mapping.resamples_positions:
        notes += _resample_positions(translated, shape)
    notes += _convert_channels(translated, weights.location, shape, channel_rule)
    _check_fit(translated, weights.location, mapping, shape)
    tensors = {name: translated[name].to(tensor.dtype).contiguous() for name, tensor in shape.tensors.items()}
    return FittedWeights(tensors, _linear_head(head_tensors), tuple(notes))


def _is_of_head(name: str, network_tensors: Mapping[str, Tensor]) -> bool:
    return name.rpartition(".")[0] in HEAD_NAMES and name not in network_tensors


def _linear_head(tensors: Mapping[str, Tensor]) -> LinearHead | None:
    for name in HEAD_NAMES:
        weight = tensors.get(f"{name}.weight")
        if weight is not None and weight.dim() == 2:
            return LinearHead(weight.float(), tensors.get(f"{name}.bias", torch.zeros(len(weight))).float())
    return None


def _resample_positions(tensors: dict[str, Tensor], shape: NetworkShape) -> list[str]:
    """Resamples [1, P + h w, D] position embeddings to the grid of the input; the P tokens before them stay."""
    positions, target = tensors.get("pos_embed"), shape.tensors.get("pos_embed")
    patches = tensors.get("patch_embed.proj.weight")
    if positions is None or target is None or patches is None or positions.shape == target.shape:
        return []
    grid = [side // patch for side, patch in zip(shape.size, patches.shape[2:], strict=True)]
    prefix_count = target.shape[1] - prod(grid)
    old_side = round((positions.shape[1] - prefix_count) ** 0.5)
    if prefix_count < 0 or old_side**2 != positions.shape[1] - prefix_count:
        return []  # reported as another shape
    prefix, cells = positions[:, :prefix_count], positions[:, prefix_count:].float()
    maps = cells.reshape(1, old_side, old_side, -1).permute(0, 3, 1, 2)
    maps = functional.interpolate(maps, size=grid, mode="bicubic", antialias=True)
    cells = maps.permute(0, 2, 3, 1).reshape(1, prod(grid), -1).to(positions.dtype)
    tensors["pos_embed"] = torch.cat([prefix, cells], dim=1)
    return [f"resampled pos_embed from {old_side} x {old_side} to {grid[0]} x {grid[1]} patches (bicubic, antialiased)"]


def _convert_channels(
    tensors: dict[str, Tensor], location: str, shape: NetworkShape, channel_rule: ChannelRule
) -> list[str]:
    """Converts the convolution that reads the input.

    ``sum``: a grey image gets the response that the same image in all channels of the file's network had. ``mean``: the
    response to one channel's share of it.
    """
    for name, target in shape.tensors.items():
        tensor = tensors.get(name)
        if tensor is None or not _differs_in_channels(tensor, target, shape.channels):
            continue
        old_channels = tensor.shape[1]
        if channel_rule is ChannelRule.REFUSE:
            raise InputError(
                f"{location}: {name} reads {old_channels} channels, but network.input.channels is {shape.channels}; "
                f"set channels to {old_channels}, or network.weights.channels to Sum or Mean to convert the first "
                "convolution"
            )
        total = tensor.sum(1, keepdim=True)
        scaled = total / (shape.channels if channel_rule is ChannelRule.SUM else old_channels)
        tensors[name] = scaled.expand(-1, shape.channels, *target.shape[2:]).contiguous()
        return [f"converted {name} from {old_channels} to {shape.channels} channels ({channel_rule.value})"]
    return []


def _differs_in_channels(tensor: Tensor, target: Tensor, channels: int) -> bool:
    return (
        tensor.dim() == target.dim() >= 4
        and target.shape[1] == channels != tensor.shape[1]
        and tensor.shape[0] == target.shape[0]
        and tensor.shape[2:] == target.shape[2:]
    )


def _check_fit(tensors: Mapping[str, Tensor], location: str, mapping: WeightsMapping, shape: NetworkShape) -> None:
    missing = [name for name in shape.tensors if name not in tensors]
    unexpected = [name for name in tensors if name not in shape.tensors]
    other_shapes = [
        f"{name} has {list(tensors[name].shape)}, the network {list(target.shape)}"
        for name, target in shape.tensors.items()
        if name in tensors and tensors[name].shape != target.shape
    ]
    quantised = [
        f"{name} has {tensors[name].dtype}, the network {target.dtype}".replace("torch.", "")
        for name, target in shape.tensors.items()
        if name in tensors and target.is_floating_point() > tensors[name].is_floating_point()
    ]
    problems = [
        *_list_names("missing in the file", missing, unexpected),
        *_list_names("not in the network", unexpected, missing),
        *_list_names("of another shape", other_shapes, ()),
        *_list_names("quantised to integers", quantised, ()),
    ]
    if problems:
        other_names = [
            other.name for other in MAPPINGS.values() if other is not mapping and shape.type.startswith(other.networks)
        ]
        advice = f", or network.weights.mapping to one of {', '.join(other_names)}" if other_names else ""
        raise InputError(
            f"{location}: the weights do not fit {shape.type} with mapping {mapping.name}: {'; '.join(problems)}; set "
            f"network.type, options and input to those of the file{advice}"
        )


def _list_names(kind: str, names: Sequence[str], candidates: Sequence[str]) -> list[str]:
    if not names:
        return []
    listed = [_with_nearest_name(name, candidates) for name in names[:_LISTED]]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return [f"{len(names)} {kind}: {', '.join(listed)}{more}"]


def _with_nearest_name(name: str, candidates: Sequence[str]) -> str:
    nearest_names = get_close_matches(name, candidates, n=1)
    return f"{name} (nearest: {nearest_names[0]})" if nearest_names else name
