"""Imports existing weights as the first version of a model."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from anamnesis.methods import Method, build_method
from anamnesis.records import Configuration, InputError, Task, Version, digest_bytes, encode_object
from anamnesis.registry.promotion import import_champion
from anamnesis.registry.versions import write_version
from anamnesis.storage.store import Store
from anamnesis.updates.model import Experience, LoadedModel, VersionDescription, version_blobs
from anamnesis.updates.site_features import SiteFeatures

_READ_ERRORS = (SafetensorError, OSError, RuntimeError, ValueError, TypeError, EOFError, LookupError, AttributeError)
"""Errors of the readers on damaged files."""


def import_weights(
    store: Store, weights: Path, site: str, task: Task, configuration: Configuration, author: str, reason: str
) -> str:
    """Makes a version of a weights file and promotes it as the first of its registry.

    Args:
        store: the model's registry.
        weights: safetensors, or a torch checkpoint that holds tensors only; names as in ``Classifier.state_dict``.
        site: where the weights were trained; later updates measure the forgetting there.
        task: its classes are the rows of the head, in order.
        configuration: the network, and the method of later updates.
        author: of the log entry.
        reason: of the log entry.

    Returns:
        The version's digest.

    Raises:
        InputError: the file is unreadable, or its names or shapes do not fit the network; the message lists them.
        ConflictError: the registry has a champion already.
    """
    description = VersionDescription(configuration, (Experience(site, task),))
    method = build_method(configuration)
    method.resize_head(len(description.labels))
    _load_weights(method, read_weights(weights), weights)
    blobs = version_blobs(LoadedModel(method, description, SiteFeatures(configuration.network.channels)))
    parts = {part: digest_bytes(blob) for part, blob in blobs.items()}
    version = Version(base=None, snapshot=None, site=site, configuration=encode_object(configuration), parts=parts)
    import_champion(store, write_version(store, version, blobs), author, reason)
    return version.digest


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Reads tensors by name; never runs code from the file.

    Raises:
        InputError: the file is unreadable or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # torch's own message advises an unsafe option
        raise InputError(
            f"{path}: the file contains other objects than tensors, which could run code; save model.state_dict() alone"
        ) from error
    except _READ_ERRORS as error:
        raise InputError(
            f"{path}: unreadable weights: {(str(error) or 'the file is incomplete').splitlines()[0]}; save the weights "
            "again, as safetensors or with torch.save(model.state_dict(), FILE)"
        ) from error
    tensors = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise InputError(
            f"{path}: expected a state_dict of tensors, found {type(loaded).__name__}; save the weights again with "
            "torch.save(model.state_dict(), FILE)"
        )
    return dict(tensors)


def _load_weights(method: "Method[object]", tensors: Mapping[str, Tensor], path: Path) -> None:
    network_tensors = method.network.state_dict()
    mismatches = [f"{name}: missing" for name in network_tensors if name not in tensors]
    mismatches += [f"{name}: not in the network" for name in tensors if name not in network_tensors]
    mismatches += [
        f"{name}: shape {list(tensors[name].shape)}, the network has {list(network_tensors[name].shape)}"
        for name in network_tensors
        if name in tensors and tensors[name].shape != network_tensors[name].shape
    ]
    if mismatches:
        raise InputError(
            f"{path}: the weights do not fit the network {type(method.network).__name__}: {', '.join(mismatches[:5])}; "
            "correct network and the number of classes, or import weights of this network"
        )
    method.network.load_state_dict(dict(tensors))
