"""Where the network looks, as part of a loss: class activation maps and how far two of them are from each other.

With global average pooling and a linear head the channel weights of Grad-CAM are the head's row divided by the number
of pixels (Zhou et al., CVPR 2016; Selvaraju et al., ICCV 2017). The map is a product of what the forward pass made
already, and differentiable once, without a second backward pass.
"""

from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.features.task_groups import Groups

FAINT = 0.01
"""Share of the batch's mean norm below which a map counts as empty: its direction is noise, its gradient is huge."""
LEAST = 1e-6
"""Norm below which it does so whatever the others are."""


class Evidence(StrEnum):
    """Which score a map explains."""

    CLASS = "class"
    """The logit of the class."""
    CONTRAST = "contrast"
    """That less the mean logit of the classes of its task: what reports measure (``grad_cam``)."""


class Distance(StrEnum):
    """How far two maps are from each other."""

    COSINE = "cosine"
    """1 - cosine of the angle between them."""
    L1 = "l1"
    """Mean absolute difference of the maps divided by their L2 norms, times the root of the pixels (LwM, 2019)."""
    RAW = "raw"
    """Mean absolute difference of the maps as they are (RRR, 2021)."""


class Normalisation(StrEnum):
    """What becomes of a map that is zero, or almost, everywhere; ``x / max(|x|, eps)`` has a gradient of 1 / eps."""

    MASKED = "masked"
    """It is left out."""
    SMOOTH = "smooth"
    """Maps are divided by sqrt(|x|^2 + eps^2), eps being 1 % of the batch's mean norm."""
    SIGNED = "signed"
    """Maps keep their negative part, which is seldom empty; those that are empty all the same are left out."""


def head_weights(weight: Tensor, groups: Groups, evidence: Evidence) -> Tensor:
    """Returns [K, F]: how each channel speaks for each class, of the head's weight [K, F]."""
    return weight if evidence is Evidence.CLASS else weight - groups.mean_over(weight)


def activation_maps(maps: Tensor, weights: Tensor) -> Tensor:
    """Returns class activation maps before the ReLU, [N, h, w]: sum_k w_nk A_nk / (h w).

    Args:
        maps: [N, F, h, w] feature maps A.
        weights: [N, F], the row of each image's class.
    """
    pixels = maps.shape[2] * maps.shape[3]
    return torch.einsum("nfhw,nf->nhw", maps.float(), weights.float()) / pixels


def unit_maps(found: Tensor) -> Tensor:
    """Returns maps [N, h, w] after the ReLU, each divided by its L2 norm, [N, h w]; an empty one stays zero."""
    positive = found.relu().flatten(1)
    squares = positive.square().sum(1, keepdim=True)
    return positive * (squares > LEAST**2) / torch.where(squares > LEAST**2, squares, 1.0).sqrt()


def map_distance(found: Tensor, wanted: Tensor, distance: Distance, normalisation: Normalisation) -> Tensor:
    """Returns the mean distance of maps [N, h, w] before the ReLU to fixed ones of the same shape.

    A case whose fixed map is empty does not count; where none counts the scalar is 0, with a gradient of 0.
    """
    found, wanted = found.flatten(1), wanted.flatten(1)
    if normalisation is not Normalisation.SIGNED:
        found, wanted = found.relu(), wanted.relu()
    counted = wanted.norm(dim=1) > LEAST
    if distance is Distance.RAW:
        return _mean((found - wanted).abs().mean(1), counted)
    least = (FAINT * found.detach().norm(dim=1).mean().nan_to_num()).clamp_min(LEAST)
    squares = found.square().sum(1)
    if normalisation is Normalisation.SMOOTH:
        norms = (squares + least.square()).sqrt()
    else:
        counted &= ~(squares < least.square())  # a NaN counts, so that the loss tells of it
        norms = torch.where(counted, squares, 1.0).sqrt()
    x, y = found / norms[:, None], functional.normalize(wanted, dim=1)
    each = 1 - (x * y).sum(1) if distance is Distance.COSINE else (x - y).abs().mean(1) * x.shape[1] ** 0.5
    return _mean(each, counted)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return values.masked_fill(~counted, 0.0).sum() / counted.sum().clamp_min(1)


def spread(found: Tensor) -> Tensor:
    """Returns 1 - |mean of the normalised maps|^2 of maps [N, h, w]: 0 where all are alike, near 1 where none are."""
    units = unit_maps(found)
    counted = units.any(1)
    return 1 - (units.sum(0) / counted.sum().clamp_min(1)).square().sum()
