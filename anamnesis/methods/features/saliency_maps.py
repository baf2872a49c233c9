"""Class activation maps, and the distance between two of them, as parts of a loss.

With global average pooling and a linear head the channel weights of Grad-CAM are the head's row divided by the number
of pixels (Zhou et al., CVPR 2016; Selvaraju et al., ICCV 2017). The map is a product of the feature maps and the head,
and its gradient needs no second backward pass.
"""

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.features.task_groups import TaskGroups

FAINT_SHARE = 0.01
"""Share of the batch's mean norm below which a map counts as empty: its direction is noise, its gradient is huge."""
MINIMUM_NORM = 1e-6
"""Norm below which a map always counts as empty."""


class SaliencyTarget(StrEnum):
    """Which score a map explains."""

    CLASS = "class"
    """The logit of the class."""
    CONTRAST = "contrast"
    """That minus the mean logit of the classes of its task, as in reports (``class_evidence``)."""


class MapDistance(StrEnum):
    """The distance between two maps."""

    COSINE = "cosine"
    """1 - cosine of the angle between them."""
    L1 = "l1"
    """Mean absolute difference of the maps divided by their L2 norms, times the root of the pixels (LwM, 2019)."""
    RAW = "raw"
    """Mean absolute difference of the maps without normalisation (RRR, 2021)."""


class MapNormalisation(StrEnum):
    """Treatment of maps that are almost zero everywhere; ``x / max(|x|, eps)`` would have a gradient of 1 / eps."""

    MASKED = "masked"
    """They do not count."""
    SMOOTH = "smooth"
    """Maps are divided by sqrt(|x|^2 + eps^2), eps being 1 % of the batch's mean norm."""
    SIGNED = "signed"
    """Maps keep their negative part, which is rarely empty; maps that are still empty do not count."""


def head_weights(weight: Tensor, task_groups: TaskGroups, saliency_target: SaliencyTarget) -> Tensor:
    """Returns the weight of each channel in the map of each class, [K, F], from the head's weight [K, F]."""
    return weight if saliency_target is SaliencyTarget.CLASS else weight - task_groups.task_means(weight)


def activation_maps(feature_maps: Tensor, weights: Tensor) -> Tensor:
    """Returns class activation maps before the ReLU, [N, *cells]: sum_k w_nk A_nk / (number of cells).

    Args:
        feature_maps: [N, F, *cells] feature maps A.
        weights: [N, F], the row of each image's class.
    """
    return torch.einsum("nf...,nf->n...", feature_maps.float(), weights.float()) / feature_maps.shape[2:].numel()


def unit_maps(saliency_maps: Tensor) -> Tensor:
    """Returns maps [N, ...] after the ReLU, each divided by its L2 norm, [N, pixels]; an empty one stays zero."""
    positive = saliency_maps.relu().flatten(1)
    squared_norms = positive.square().sum(1, keepdim=True)
    return (
        positive
        * (squared_norms > MINIMUM_NORM**2)
        / torch.where(squared_norms > MINIMUM_NORM**2, squared_norms, 1.0).sqrt()
    )


def map_distance(
    saliency_maps: Tensor, target_maps: Tensor, distance: MapDistance, normalisation: MapNormalisation
) -> Tensor:
    """Returns the mean distance of maps [N, ...] before the ReLU to fixed ones of the same shape.

    A case with an empty fixed map does not count; if no case counts, the scalar is 0, with a gradient of 0.
    """
    saliency_maps, target_maps = saliency_maps.flatten(1), target_maps.flatten(1)
    if normalisation is not MapNormalisation.SIGNED:
        saliency_maps, target_maps = saliency_maps.relu(), target_maps.relu()
    is_counted = target_maps.norm(dim=1) > MINIMUM_NORM
    if distance is MapDistance.RAW:
        return _masked_mean((saliency_maps - target_maps).abs().mean(1), is_counted)
    minimum_norm = (FAINT_SHARE * saliency_maps.detach().norm(dim=1).mean().nan_to_num()).clamp_min(MINIMUM_NORM)
    squared_norms = saliency_maps.square().sum(1)
    if normalisation is MapNormalisation.SMOOTH:
        norms = (squared_norms + minimum_norm.square()).sqrt()
    else:
        is_counted &= ~(squared_norms < minimum_norm.square())  # a NaN counts, so that it appears in the loss
        norms = torch.where(is_counted, squared_norms, 1.0).sqrt()
    x, y = saliency_maps / norms[:, None], functional.normalize(target_maps, dim=1)
    distances = 1 - (x * y).sum(1) if distance is MapDistance.COSINE else (x - y).abs().mean(1) * x.shape[1] ** 0.5
    return _masked_mean(distances, is_counted)


def _masked_mean(values: Tensor, is_counted: Tensor) -> Tensor:
    return values.masked_fill(~is_counted, 0.0).sum() / is_counted.sum().clamp_min(1)


def map_dispersion(saliency_maps: Tensor) -> Tensor:
    """Returns 1 - |mean of the normalised maps|^2 of maps [N, ...]: 0 if all are equal, near 1 if none are."""
    unit_vectors = unit_maps(saliency_maps)
    is_counted = unit_vectors.any(1)
    return 1 - (unit_vectors.sum(0) / is_counted.sum().clamp_min(1)).square().sum()
