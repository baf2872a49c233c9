"""What a version says about the cases of a site, kept in the site's own store: no version is run twice on a test set.

A prediction is about one patient, so it never leaves the site.
"""

from collections.abc import Callable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from anamnesis.records import digest_bytes, digest_hex
from anamnesis.storage.store import open_store
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.evaluators import evaluator_of
from anamnesis.updates.model import LoadedModel

_REVISION = 1
_DIGEST = "digest"


def predict_cases(cases: CaseSet, version: str, load_version: Callable[[], LoadedModel]) -> dict[str, Tensor]:
    """Returns what a version predicts for cases, from the site's own store or, where that has it not, from the images.

    Args:
        cases: of one site.
        version: digest of the version.
        load_version: returns the version; called only where its predictions are missing or damaged.
    """
    store, key = open_store(cases.site.store), predictions_key(version, cases.digest)
    if store.exists(key) and (stored := _unpack(store.get(key), len(cases.records))):
        return stored
    tensors = evaluator_of(cases.site.task).predict(load_version(), cases)
    store.put(key, _pack(tensors))
    return tensors


def predictions_key(version: str, case_set: str) -> str:
    """Returns the key, in the site's own store, of a version's predictions for a set of cases."""
    return f"predictions/{digest_hex(version)}/{digest_hex(case_set)}-{_REVISION}.safetensors"


def _pack(tensors: Mapping[str, Tensor]) -> bytes:
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return save({**contiguous, _DIGEST: _digest_of(contiguous)})


def _unpack(data: bytes, count: int) -> dict[str, Tensor] | None:
    try:
        tensors = load(data)
    except SafetensorError:
        return None
    digest = tensors.pop(_DIGEST, None)
    is_intact = digest is not None and bool(tensors) and torch.equal(digest, _digest_of(tensors))
    return tensors if is_intact and all(len(tensor) == count for tensor in tensors.values()) else None


def _digest_of(tensors: dict[str, Tensor]) -> Tensor:
    return torch.tensor(list(bytes.fromhex(digest_hex(digest_bytes(save(tensors))))), dtype=torch.uint8)
