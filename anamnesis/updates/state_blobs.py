"""A method's state as the blobs of a version: a safetensors file for each part, and plain values as JSON."""

import json
from collections import defaultdict
from collections.abc import Mapping

from safetensors.torch import load, save
from torch import Tensor

from anamnesis.records import canonical_json

VALUES_PART = "values"
"""Name of the part with the plain values."""


def pack_state(state: Mapping[str, Tensor | object]) -> dict[str, bytes]:
    """Returns part name -> bytes of ``part/name`` -> tensor or JSON value; equal states give equal bytes."""
    tensors: dict[str, dict[str, Tensor]] = defaultdict(dict)
    values: dict[str, object] = {}
    for key, value in sorted(state.items()):
        part, name = key.split("/", 1)
        if isinstance(value, Tensor):
            tensors[part][name] = value.detach().cpu().contiguous()
        else:
            values[key] = value
    blobs = {part: save(part_tensors) for part, part_tensors in tensors.items()}
    return {**blobs, VALUES_PART: canonical_json(values)} if values else blobs


def unpack_state(blobs: Mapping[str, bytes]) -> dict[str, Tensor | object]:
    """Returns the state that ``pack_state`` packed."""
    state: dict[str, Tensor | object] = dict(json.loads(blobs.get(VALUES_PART, b"{}")))
    for part, blob in blobs.items():
        if part != VALUES_PART:
            state |= {f"{part}/{name}": tensor for name, tensor in load(blob).items()}
    return state
