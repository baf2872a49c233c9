"""Existing weights as the first version of a model: whoever has a model already starts from it."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from anamnesis.methods import Method, build_method
from anamnesis.records import Configuration, InputError, Task, Version, digest_bytes, encode_object
from anamnesis.registry.promotion import adopt
from anamnesis.registry.versions import write_version
from anamnesis.storage.store import open_store
from anamnesis.updates.model import Description, Visit, blobs_of

_DAMAGE = (SafetensorError, OSError, RuntimeError, ValueError, TypeError, EOFError, LookupError, AttributeError)
"""What the readers raise on damaged files."""


def import_weights(
    registry: str, weights: Path, site: str, task: Task, configuration: Configuration, who: str, why: str
) -> str:
    """Makes a version of a weights file and promotes it as the first of its registry.

    Args:
        registry: URL of the model's registry.
        weights: safetensors, or a torch checkpoint that holds tensors only; names as in ``Classifier.state_dict``.
        site: where the weights were learned; later updates measure what is forgotten there.
        task: whose classes the rows of the head are, in order.
        configuration: network and the method that will learn on.
        who: stands in the log.
        why: stands in the log.

    Returns:
        The version's digest.

    Raises:
        InputError: unreadable file, or names or shapes that do not fit the network; the message lists them.
        ConflictError: the registry has a champion already.
    """
    store = open_store(registry)
    description = Description(configuration, (Visit(site, task),))
    method = build_method(configuration)
    method.prepare(len(description.labels))
    _fill(method, read_weights(weights), weights)
    blobs = blobs_of(method, description)
    parts = {part: digest_bytes(blob) for part, blob in blobs.items()}
    version = Version(None, None, site, encode_object(configuration), parts)
    adopt(store, write_version(store, version, blobs), who, why)
    return version.digest


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Reads tensors by name; never runs code from the file.

    Raises:
        InputError: it is not such a file.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # what torch says first is enough; it goes on to advise unsafe ways
        raise InputError(f"{path}: refused: it holds more than tensors; save a state_dict of tensors only") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read as weights: {(str(error) or 'cut off').splitlines()[0]}") from error
    tensors = found.get("state_dict", found) if isinstance(found, dict) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise InputError(f"{path}: expected a state_dict of tensors, found {type(found).__name__}")
    return dict(tensors)


def _fill(method: "Method[object]", tensors: Mapping[str, Tensor], path: Path) -> None:
    own = method.network.state_dict()
    problems = [f"{name}: missing" for name in own if name not in tensors]
    problems += [f"{name}: not in the network" for name in tensors if name not in own]
    problems += [
        f"{name}: shape {list(tensors[name].shape)}, the network has {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if problems:
        raise InputError(f"{path}: does not fit {type(method.network).__name__}: {'; '.join(problems[:5])}")
    method.network.load_state_dict(dict(tensors))
