"""What a version says about images, window by window where its network reads patches of volumes."""

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor

from anamnesis.methods import PredictionRequest
from anamnesis.methods.base import SurvivalCurves
from anamnesis.records import InputError
from anamnesis.training.patches import OVERLAP, crop_window, windows_of
from anamnesis.updates.model import LoadedModel

_WINDOWS_PER_PASS = 4
Risks = tuple[Tensor, SurvivalCurves | None]
"""Log-risks [N], and the survival curves of the same cases."""


def predict_logits(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Tensor:
    """Returns the logits [N, K] of all classes; of a volume with patches the mean over all windows.

    Args:
        model: the version.
        inputs: modality -> images [N, C, *sides] on the device.
        request: of the prediction.

    Raises:
        InputError: the method has no class scores.
    """
    crops = _crop_windows(model, inputs)
    return torch.stack([_logits(model, crop, request) for crop in crops]).mean(0)


def _crop_windows(model: LoadedModel, inputs: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yields the inputs in each window of a volume; whole where the network does not read patches."""
    spec = model.description.configuration.network
    if not spec.patches:
        yield inputs
        return
    for window in windows_of(spec.patches.volume, spec.size):
        yield {name: crop_window(images, window) for name, images in inputs.items()}


def _logits(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Tensor:
    logits = model.method.predict_inputs(inputs, request).logits
    if logits is None:
        raise InputError(
            f"method {model.method.name!r} returned no class scores: the version has no classification task; "
            "choose a version of a classification model"
        )
    return logits.float()


def predict_masks(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Tensor:
    """Returns mask logits [N, classes, *sides]; with patches MONAI averages overlapping windows, their centres most.

    Args:
        model: the version.
        inputs: modality -> images [N, C, *sides] on the device.
        request: of the prediction.

    Raises:
        InputError: the method has no masks.
    """
    spec = model.description.configuration.network
    if not spec.patches:
        return _mask_logits(model, inputs, request)

    from monai.inferers.utils import sliding_window_inference  # takes a second

    def predict_window(channels: Tensor) -> Tensor:
        crops = dict(zip(inputs, torch.chunk(channels, len(inputs), dim=1), strict=True))
        return _mask_logits(model, crops, request)

    channels = torch.cat(tuple(inputs.values()), dim=1)
    joined = sliding_window_inference(
        channels, spec.size, _WINDOWS_PER_PASS, predict_window, overlap=OVERLAP, mode="gaussian"
    )
    return cast(Tensor, joined)


def predict_risks(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Risks:
    """Returns the log-risks [N], and the survival curves where the method has some; of patches the mean over windows.

    Args:
        model: the version.
        inputs: modality -> images [N, C, *sides] on the device.
        request: of the prediction.

    Raises:
        InputError: the method has no risks.
    """
    risks, curves = zip(*(_risks(model, crop, request) for crop in _crop_windows(model, inputs)), strict=True)
    if curves[0] is None:
        return torch.stack(risks).mean(0), None
    probabilities = torch.stack([curve.probabilities for curve in curves]).mean(0)
    return torch.stack(risks).mean(0), SurvivalCurves(curves[0].days, probabilities)


def _risks(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Risks:
    prediction = model.method.predict_inputs(inputs, request)
    if prediction.log_risk is None:
        raise InputError(
            f"method {model.method.name!r} returned no risk for a prognosis task: this is a fault of the method; "
            "choose another method, and report the fault with the log"
        )
    return prediction.log_risk.float(), prediction.survival


def _mask_logits(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> Tensor:
    mask_logits = model.method.predict_inputs(inputs, request).mask_logits
    if mask_logits is None:
        raise InputError(
            f"method {model.method.name!r} returned no masks for a segmentation task: this is a fault of the "
            "method; choose another method, and report the fault with the log"
        )
    return mask_logits.float()
