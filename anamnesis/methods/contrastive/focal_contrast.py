"""FNC2: focal contrastive learning towards fixed class prototypes (Dang et al., WACV 2025, arXiv 2412.02865).

A reconstruction: there is no public code, and the formulas follow a paper that cites it (arXiv 2609.03406, equations 13
to 20). For an anchor i of class y_i, its positives P(i), embeddings z and prototypes p of unit length:

    D_i  = sum_{k != i} exp(z_i . z_k / tau) + sum_l exp(z_i . p_l / tau)     over the prototypes that compete
    c_ij = exp(z_i . z_j / tau) / D_i        r_i = exp(z_i . p_{y_i} / tau) / D_i
    split: mean_{pairs (i, j)} -(1 - c_ij)^gamma log c_ij  +  w mean_i -(1 - r_i)^gamma log r_i
    joint: mean_i 1/(|P(i)| + w) [ sum_{j in P(i)} -(1 - c_ij)^gamma log c_ij  -  w (1 - r_i)^gamma log r_i ]
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.contrastive.cosines import NEVER, Cosines
from anamnesis.records import InputError
from anamnesis.records.option_checks import check_bounds, not_negative, positive


class PrototypeNormalisation(StrEnum):
    """How pairs and prototypes are averaged."""

    SPLIT = "split"
    """A mean over all pairs, and one over all anchors."""
    JOINT = "joint"
    """A mean over anchors, for each of which its prototype is one more positive."""


class FocalReading(StrEnum):
    """What the focal weight reads."""

    PROBABILITY = "probability"
    """(1 - c_ij)^gamma and (1 - r_i)^gamma."""
    COSINE = "cosine"
    """(1 - z_i . z_j)^gamma and (1 - z_i . p_{y_i})^gamma."""


class AnchorAverage(StrEnum):
    """What the mean over anchors divides by."""

    ANCHORS = "anchors"
    """Their number."""
    SAMPLES = "samples"
    """That of all samples, replayed ones too, as in Co2L's published code."""


@dataclass(frozen=True, slots=True)
class ContrastOptions:
    """Options of the contrastive loss.

    Attributes:
        temperature: tau.
        gamma: exponent of the focal weight; 0 switches the weight off. Between 0 and 1 its gradient would be infinite.
        focal: what the focal weight reads.
        focal_gradient: whether the gradient flows through the focal weight, as in the focal loss.
        normalisation: how pairs and prototypes are averaged.
        average: what the mean over anchors divides by.
        prototype_weight: w, weight of the anchor's own prototype; 0 leaves it out.
        old_prototypes: whether the prototypes of other sites' classes are negatives too.
        scale: factor on the loss. 7.14 is that of Co2L's published code, tau over a base temperature of 0.07.
    """

    temperature: float = positive(0.5)
    gamma: float = not_negative(2.0)
    focal: FocalReading = FocalReading.PROBABILITY
    focal_gradient: bool = True
    normalisation: PrototypeNormalisation = PrototypeNormalisation.SPLIT
    average: AnchorAverage = AnchorAverage.ANCHORS
    prototype_weight: float = not_negative(1.0)
    old_prototypes: bool = True
    scale: float = positive(1.0)

    def __post_init__(self) -> None:
        check_bounds("fnc2.contrast", self)
        if 0 < self.gamma < 1:
            raise InputError(
                f"fnc2.contrast.gamma: expected 0, or 1 or more, found {self.gamma}; between 0 and 1 the gradient of "
                "the focal weight is infinite"
            )


@dataclass(frozen=True, slots=True)
class FocalContrast:
    """The loss in its two parts, and how much the focal weight does.

    Attributes:
        pairs: scalar, the part of the positive pairs.
        prototypes: scalar, the part of the prototypes; 0 where their weight is 0.
        pair_focal_weight: scalar, mean focal weight of the positive pairs; 1 where it does nothing.
        prototype_focal_weight: scalar, that of the prototypes.
    """

    pairs: Tensor
    prototypes: Tensor
    pair_focal_weight: Tensor
    prototype_focal_weight: Tensor


def focal_contrast(
    cosines: Cosines, vertices: Tensor, is_anchor: Tensor, competing: Tensor, options: ContrastOptions
) -> FocalContrast:
    """Returns the loss; finite for a batch of one class, and 0 where there is no anchor or no pair.

    Args:
        cosines: of n samples, usually two views of each image, and K prototypes.
        vertices: [n] the prototype of each sample's class.
        is_anchor: [n] bool; false for replayed samples, which are positives and negatives of the anchors.
        competing: [K] bool, the prototypes in the partition D_i. Those of all anchors must be among them, unless
            ``prototype_weight`` is 0.
        options: temperature, focal weight, normalisation.
    """
    scaled_samples = (cosines.samples / options.temperature).masked_fill(~cosines.is_other, NEVER)
    scaled_prototypes = (cosines.prototypes / options.temperature).masked_fill(~competing, NEVER)
    log_partition = torch.cat([scaled_samples, scaled_prototypes], dim=1).logsumexp(1)
    is_pair = cosines.is_other & (vertices[:, None] == vertices) & is_anchor[:, None]
    pair_terms, pair_weights = _focal_terms(
        cosines.samples / options.temperature - log_partition[:, None], cosines.samples, is_pair, options
    )
    own_cosines = cosines.prototypes.gather(1, vertices[:, None])[:, 0]
    has_prototype = is_anchor if options.prototype_weight else torch.zeros_like(is_anchor)
    own_terms, own_weights = _focal_terms(
        own_cosines / options.temperature - log_partition, own_cosines, has_prototype, options
    )
    own_terms = options.prototype_weight * own_terms
    if options.normalisation is PrototypeNormalisation.JOINT:
        positives = is_pair.sum(1) + options.prototype_weight
        positives = torch.where(positives > 0, positives, 1)
        pairs, prototypes = (pair_terms.sum(1) / positives).sum(), (own_terms / positives).sum()
        pairs, prototypes = pairs / _count(is_anchor), prototypes / _count(is_anchor)
    else:
        pairs, prototypes = pair_terms.sum() / _count(is_pair), own_terms.sum() / _count(is_anchor)
    scale = options.scale * (
        is_anchor.to(cosines.samples.dtype).mean() if options.average is AnchorAverage.SAMPLES else 1
    )
    return FocalContrast(
        pairs * scale,
        prototypes * scale,
        _mean_weight(pair_weights, is_pair),
        _mean_weight(own_weights, has_prototype),
    )


def _focal_terms(
    log_probs: Tensor, cosines: Tensor, is_counted: Tensor, options: ContrastOptions
) -> tuple[Tensor, Tensor]:
    """Returns -(1 - q)^gamma log q of those that count, else 0, and the weights, of log q and cosines of one shape."""
    log_probs = torch.where(is_counted, log_probs, -1.0)  # a sample with itself may have more than 1
    if not options.gamma:
        weights = torch.ones_like(log_probs)
    elif options.focal is FocalReading.PROBABILITY:
        weights = (-torch.expm1(log_probs)).clamp_min(0).pow(options.gamma)
    else:
        weights = (1 - cosines).clamp_min(0).pow(options.gamma)
    weights = weights if options.focal_gradient else weights.detach()
    return torch.where(is_counted, -weights * log_probs, 0.0), weights.detach()


def _count(is_counted: Tensor) -> Tensor:
    return is_counted.sum().clamp_min(1)


def _mean_weight(weights: Tensor, is_counted: Tensor) -> Tensor:
    """Returns the mean weight of those that count; 1 where none does."""
    mean = torch.where(is_counted, weights, 0.0).sum() / _count(is_counted)
    return torch.where(is_counted.any(), mean, 1.0)
