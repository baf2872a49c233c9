"""The pretrained tensors of a model: read once from the file that the configuration names, then from the registry.

They are the part ``pretrained``, which all versions of a model name and one blob holds. A tensor of the network that
still equals its pretrained one, as all frozen ones do, is not repeated in the part ``network``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from safetensors.torch import load, save
from torch import Tensor

from anamnesis.networks import build_backbone
from anamnesis.networks.weights import load_backbone_weights
from anamnesis.records import Configuration, InputError, NetworkSettings, Version, decode, digest_bytes
from anamnesis.registry.versions import list_versions, read_part, read_version
from anamnesis.storage.store import MissingObjectError, Store, read_file

PRETRAINED_PART = "pretrained"
"""Name of the part with the backbone's tensors before any training."""
_BACKBONE = "network/backbone."
"""Beginning of the names of the backbone's tensors in the state of a method."""


@dataclass(frozen=True, slots=True)
class PretrainedTensors:
    """The backbone's tensors before any training.

    Attributes:
        tensors: by the names of the backbone's state.
        digest: of the blob that holds them.
        blob: its bytes; none where the registry has them already.
        notes: what was ignored or converted when the file was read.
    """

    tensors: Mapping[str, Tensor]
    digest: str
    blob: bytes | None = None
    notes: tuple[str, ...] = ()


def find_pretrained(store: Store, settings: NetworkSettings) -> PretrainedTensors | None:
    """Returns the tensors that a network starts from; none where the settings name no weights.

    Where a version in the registry started from the same weights, its part is read, and the file is not opened.

    Args:
        store: of the registry.
        settings: of the network.

    Raises:
        InputError: the file is missing, has another digest, is unreadable, or does not fit the network.
    """
    if settings.weights is None:
        return None
    for digest in list_versions(store):
        version = read_version(store, digest)
        if PRETRAINED_PART in version.parts and _starts_alike(version, settings):
            return read_pretrained(store, version)
    return read_pretrained_file(settings)


def read_pretrained_file(settings: NetworkSettings) -> PretrainedTensors:
    """Reads the file that ``settings.weights`` names; raises the errors of ``find_pretrained``."""
    if settings.weights is None:
        raise InputError("network.weights: missing; name a file of weights")
    if not settings.weights.url:
        raise InputError(
            "network.weights.url: missing, and the registry has no version that started from these weights"
        )
    try:
        data = read_file(settings.weights.url)
    except MissingObjectError as error:
        raise InputError(
            f"network.weights.url: {error}; set the URL to a copy of the file: the digest decides, not the place"
        ) from error
    backbone = build_backbone(settings, seed=0)
    notes = load_backbone_weights(backbone, settings, data)
    blob = save({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()})
    return PretrainedTensors(load(blob), digest_bytes(blob), blob, notes)


def read_pretrained(store: Store, version: Version) -> PretrainedTensors | None:
    """Returns the pretrained tensors that a version names, from the registry; none where it started at random."""
    if PRETRAINED_PART not in version.parts:
        return None
    return PretrainedTensors(load(read_part(store, version, PRETRAINED_PART)), version.parts[PRETRAINED_PART])


def leave_out_pretrained(
    state: Mapping[str, Tensor | object], pretrained: PretrainedTensors | None
) -> dict[str, Tensor | object]:
    """Returns the state of a method without the backbone's tensors that equal their pretrained ones."""
    tensors = pretrained.tensors if pretrained else {}
    return {
        key: value
        for key, value in state.items()
        if not (
            key.startswith(_BACKBONE)
            and isinstance(value, Tensor)
            and _is_equal(value, tensors.get(key.removeprefix(_BACKBONE)))
        )
    }


def add_pretrained(
    state: Mapping[str, Tensor | object], pretrained: PretrainedTensors | None
) -> dict[str, Tensor | object]:
    """Returns the whole state again of what ``leave_out_pretrained`` returned."""
    tensors = pretrained.tensors if pretrained else {}
    return {**{f"{_BACKBONE}{name}": tensor for name, tensor in tensors.items()}, **state}


def _is_equal(tensor: Tensor, pretrained_tensor: Tensor | None) -> bool:
    return (
        pretrained_tensor is not None
        and tensor.dtype == pretrained_tensor.dtype
        and torch.equal(tensor.detach().cpu(), pretrained_tensor)
    )


def _starts_alike(version: Version, settings: NetworkSettings) -> bool:
    """Whether the version's network and weights are those of ``settings``; what is frozen does not matter."""
    stored = decode(Configuration, version.configuration, "configuration").identity.network
    stored = replace(stored, frozen=settings.frozen, batch_statistics=settings.batch_statistics)
    return stored == Configuration("", network=settings).identity.network
