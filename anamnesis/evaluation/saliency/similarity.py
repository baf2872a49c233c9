"""Retention: how similar a saliency map is to the map before later updates.

Rule for maps of zeros: a case whose map before is zero everywhere is left out (``n`` is the number of remaining cases).
Where only the map after is zero, each metric is 0.
"""

from collections.abc import Sequence
from math import exp, lgamma

import torch
from torch import Tensor
from torch.nn import functional as F

from anamnesis.evaluation.patient_intervals import index_patients
from anamnesis.evaluation.statistics import average_ranks, make_metric, mean_metrics
from anamnesis.records import Metric
from anamnesis.records.metric_names import COSINE, IOU, IOU_SAME_CLASS, IOU_SAME_CLASS_95, SPEARMAN, SSIM

TOP_SHARE = 0.2
"""Share of a map's pixels that IoU compares."""
SAME_CLASS_QUANTILE = 0.95
_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def map_retention(maps_before: Tensor, maps_after: Tensor, patients: Sequence[str] | None = None) -> dict[str, Metric]:
    """Returns ``IoU``, ``SSIM``, ``Cosine`` and ``Spearman``, means over the cases with 95 % intervals over patients.

    The result is empty where all maps before are zero.

    Args:
        maps_before: [N, ...], zero or more, with one to three spatial axes, right after the task's own update.
        maps_after: of the same images after a later update.
        patients: [N], the patient of each image; by default each image has a patient of its own.
    """
    has_evidence = maps_before.flatten(1).any(1)
    maps_before, maps_after = maps_before[has_evidence], maps_after[has_evidence]
    if patients is not None:
        patients = [patient for patient, is_used in zip(patients, has_evidence.tolist(), strict=True) if is_used]
    if not len(maps_before):
        return {}
    functions = {IOU: iou, SSIM: ssim, COSINE: cosine, SPEARMAN: spearman}
    is_lost = ~maps_after.flatten(1).any(1)
    values = {name: function(maps_before, maps_after).masked_fill(is_lost, 0.0) for name, function in functions.items()}
    return mean_metrics(values, patients)


def iou(maps_before: Tensor, maps_after: Tensor, share: float = TOP_SHARE) -> Tensor:
    """Returns [N]: intersection over union of the two maps' most salient ``share`` of pixels.

    Pixels that equal the last selected pixel are selected too; pixels of zero never are.
    """
    top_before, top_after = top_pixels(maps_before, share), top_pixels(maps_after, share)
    return (top_before & top_after).sum(-1) / (top_before | top_after).sum(-1).clamp(min=1)


def top_pixels(maps: Tensor, share: float = TOP_SHARE) -> Tensor:
    """Returns the mask of the most salient ``share`` of pixels, bool [N, pixels]."""
    flat = maps.flatten(1)
    threshold = flat.topk(_pixel_count(flat.shape[1], share), dim=1).values[:, -1:]
    return (flat >= threshold) & (flat > 0)


def ssim(maps_before: Tensor, maps_after: Tensor) -> Tensor:
    """Returns [N]: mean structural similarity of maps [N, ...], each divided by its maximum, at their own resolution.

    Gaussian window (sigma 1.5) of 11 pixels, or the largest odd size that fits; K1 0.01, K2 0.03. Source: Wang et al.,
    IEEE Trans. Image Process. 13 (2004) 600.
    """
    x, y = (maps / _peak(maps) for maps in (maps_before.float(), maps_after.float()))
    axes = maps_before.dim() - 1
    window = _window(min(11, *maps_before.shape[1:]), axes)
    inputs = torch.cat([x, y, x * x, y * y, x * y])[:, None]
    mean_x, mean_y, square_x, square_y, product = _CONVOLUTIONS[axes](inputs, window.to(inputs))[:, 0].chunk(5)
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    variance_x, variance_y, covariance = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
    structure: Tensor = (2 * covariance + 9e-4) / (variance_x + variance_y + 9e-4)
    return (luminance * structure).flatten(1).mean(1)


def cosine(maps_before: Tensor, maps_after: Tensor) -> Tensor:
    """Returns [N]: the cosine between the two maps as vectors."""
    x, y = (maps.float().flatten(1) / _peak(maps.float()).flatten(1) for maps in (maps_before, maps_after))
    return F.cosine_similarity(x, y, dim=1)


def spearman(maps_before: Tensor, maps_after: Tensor) -> Tensor:
    """Returns [N]: the rank correlation of the two maps' pixels, ties sharing their rank; 0 for a constant map.

    Source: Spearman, Am. J. Psychol. 15 (1904) 72.
    """
    ranks = [average_ranks(maps.flatten(1)) for maps in (maps_before, maps_after)]
    x, y = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    return F.cosine_similarity(x, y, dim=1)


def random_iou(pixels: int, share: float = TOP_SHARE) -> float:
    """Returns the expected IoU of two random maps, the floor of ``iou``: 0.111 for large maps, where it is s / (2 - s).

    sum_j j / (2 k - j) C(k, j) C(n - k, k - j) / C(n, k), where k of n pixels are selected.
    """
    k = _pixel_count(pixels, share)
    overlaps = range(max(0, 2 * k - pixels), k + 1)
    log_probabilities = (_log_choose(k, j) + _log_choose(pixels - k, k - j) - _log_choose(pixels, k) for j in overlaps)
    return sum(j / (2 * k - j) * exp(log) for j, log in zip(overlaps, log_probabilities, strict=True))


def same_class_iou(maps: Tensor, class_indices: Tensor, patients: Sequence[str]) -> dict[str, Metric]:
    """Returns ``IoUSameClass`` and ``IoUSameClass95``: the IoU of maps of two patients of one class.

    A map that depends on the class alone, and not on the image, has this IoU. The first is its mean, the second the
    95th percentile over all pairs: a retained map must be above it. Both are absent where no class has two patients.

    Args:
        maps: [N, ...] of the class of each image.
        class_indices: [N].
        patients: [N], the patient of each image.
    """
    top = top_pixels(maps).float()
    sizes = top.sum(1)
    overlap = top @ top.T
    overlap /= (sizes[:, None] + sizes - overlap).clamp(min=1)
    patient_index = index_patients(patients)
    is_pair = (class_indices[:, None] == class_indices) & (patient_index[:, None] != patient_index)
    is_pair &= (sizes > 0)[:, None] & (sizes > 0)
    has_partner = is_pair.any(1)
    if not has_partner.any():
        return {}
    case_means = ((overlap * is_pair).sum(1) / is_pair.sum(1).clamp(min=1))[has_partner]
    case_patients = [patient for patient, is_case in zip(patients, has_partner.tolist(), strict=True) if is_case]
    percentile = float(overlap[is_pair].double().quantile(SAME_CLASS_QUANTILE))
    return {
        **mean_metrics({IOU_SAME_CLASS: case_means}, case_patients),
        IOU_SAME_CLASS_95: make_metric(percentile, len(case_means), patients=len(set(case_patients))),
    }


def _pixel_count(pixels: int, share: float) -> int:
    return max(1, round(pixels * share))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _peak(maps: Tensor) -> Tensor:
    peaks = maps.flatten(1).amax(1).clamp(min=torch.finfo(torch.float32).tiny)
    return peaks.view(-1, *[1] * (maps.dim() - 1))


def _window(size: int, axes: int) -> Tensor:
    """Returns a Gaussian window [1, 1, size, ...] of sum 1, with an odd size of at most ``size``."""
    size -= 1 - size % 2
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = weights
    for _ in range(axes - 1):
        window = window[..., None] * weights
    return (window / window.sum())[None, None]
