"""What a version says about the cases of a site, kept in the site's own store: no version is run twice on a test set.

A prediction is about one patient, so it never leaves the site.
"""

from collections.abc import Callable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from anamnesis.evaluation.metrics import dice
from anamnesis.methods import PredictionRequest
from anamnesis.records import InputError, TaskType, digest_bytes, digest_hex
from anamnesis.storage.store import open_store
from anamnesis.training import TensorSplit, precision_for
from anamnesis.updates.answers import BATCH_SIZE, compute_outputs
from anamnesis.updates.case_sets import CaseSet
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
    tensors = compute_predictions(load_version(), cases)
    store.put(key, _pack(tensors))
    return tensors


def compute_predictions(model: LoadedModel, cases: CaseSet) -> dict[str, Tensor]:
    """Returns the fields of ``CaseOutputs``; for a segmentation ``dice`` [N], the mean over classes but the background.

    Raises:
        InputError: the method returned no output for the task.
    """
    split = cases.read_tensors(model.description)
    if cases.site.task.type is TaskType.SEGMENTATION:
        return {"dice": _compute_dice(model, split)}
    outputs = compute_outputs(model, split.images)
    return {"logits": outputs.logits, "site_log_probs": outputs.site_log_probs, "distances": outputs.distances}


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


def _compute_dice(model: LoadedModel, split: TensorSplit) -> Tensor:
    precision, scores = precision_for(model.description.configuration), []
    precision.move_to_device(model.method.network)
    batches = zip(torch.split(split.images, BATCH_SIZE), torch.split(split.targets, BATCH_SIZE), strict=True)
    with precision.deterministic_mode(), precision.autocast():
        for images, masks in batches:
            images_on_device = images.to(precision.device, torch.float32)
            mask_logits = model.method.predict(images_on_device, PredictionRequest()).mask_logits
            if mask_logits is None:
                raise InputError(
                    f"method {model.method.name!r} returned no masks for a segmentation task: this is a fault of the "
                    "method; choose another method, and report the fault with the log"
                )
            scores.append(dice(mask_logits.argmax(1).cpu(), masks, mask_logits.shape[1]).mean(1))
    return torch.cat(scores)
