"""The outputs of a version for the cases of a site."""

from collections.abc import Iterator

import torch
from torch import Tensor

from anamnesis.evaluation.metrics import dice
from anamnesis.methods import PredictionRequest
from anamnesis.records import InputError, find_class_indices
from anamnesis.training import TensorSplit, precision_for
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.model import LoadedModel

BATCH_SIZE = 64  # the allocator returns larger maps to the system after each batch: page faults took most of the time


def compute_logits(model: LoadedModel, images: Tensor) -> Tensor:
    """Returns the logits [N, K] of a version for images [N, C, H, W].

    Raises:
        InputError: the method returned no class scores.
    """
    precision = precision_for(model.description.configuration)
    precision.move_to_device(model.method.network)
    with precision.deterministic_mode(), precision.autocast():
        return torch.cat(list(_logits(model, images, precision.device)))


def task_logits(model: LoadedModel, cases: CaseSet) -> Tensor:
    """Returns the logits [N, C] of the classes of the cases' task, in their order."""
    columns = find_class_indices(cases.site.task, model.description.labels)
    return compute_logits(model, cases.read_tensors(model.description).images)[:, list(columns)]


def compute_dice(model: LoadedModel, split: TensorSplit) -> Tensor:
    """Returns the mean Dice coefficient [N] of each case over the classes except the background.

    Raises:
        InputError: the method returned no masks.
    """
    precision = precision_for(model.description.configuration)
    precision.move_to_device(model.method.network)
    with precision.deterministic_mode(), precision.autocast():
        return torch.cat(list(_dice(model, split, precision.device)))


def _logits(model: LoadedModel, images: Tensor, device: torch.device) -> Iterator[Tensor]:
    for chunk in torch.split(images, BATCH_SIZE):
        logits = model.method.predict(chunk.to(device, torch.float32), PredictionRequest()).logits
        if logits is None:
            raise InputError(
                f"method {model.method.name!r} returned no class scores for a classification task: this is a fault of "
                "the method; choose another method, and report the fault with the log"
            )
        yield logits.float().cpu()


def _dice(model: LoadedModel, split: TensorSplit, device: torch.device) -> Iterator[Tensor]:
    batches = zip(torch.split(split.images, BATCH_SIZE), torch.split(split.targets, BATCH_SIZE), strict=True)
    for images, masks in batches:
        mask_logits = model.method.predict(images.to(device, torch.float32), PredictionRequest()).mask_logits
        if mask_logits is None:
            raise InputError(
                f"method {model.method.name!r} returned no masks for a segmentation task: this is a fault of the "
                "method; choose another method, and report the fault with the log"
            )
        yield dice(mask_logits.argmax(1).cpu(), masks, mask_logits.shape[1]).mean(1)
