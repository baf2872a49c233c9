"""Scores of masks: overlap, where higher is better, and distance of the surfaces, where lower is better."""

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.records import METRICS
from anamnesis.records.metric_names import SURFACE_DISTANCE

_LARGEST_DISTANCE = float(METRICS[SURFACE_DISTANCE].highest)


def dice(prediction: Tensor, mask: Tensor, classes: int) -> Tensor:
    """Returns the Dice coefficient 2 |P and M| / (|P| + |M|) of each case and foreground class, [N, classes - 1].

    A class absent from both scores 1, from one of them 0. Source: Dice, Ecology 26 (1945) 297.

    Args:
        prediction: [N, ...], integer classes, 0 is background.
        mask: the truth, of the same shape.
        classes: their number, background included.
    """
    predicted, actual = (_by_class(labels, classes).flatten(2) for labels in (prediction, mask))
    overlap, total = (predicted & actual).sum(-1).double(), (predicted.sum(-1) + actual.sum(-1)).double()
    return torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)


def surface_distance(prediction: Tensor, mask: Tensor, classes: int) -> Tensor:
    """Returns the mean symmetric surface distance of each case and foreground class, [N, classes - 1], in pixels.

    It is the mean, over the pixels of both surfaces, of the distance to the nearest pixel of the other one; at most
    100. A class absent from both scores 0, from one of them 100. Source: Heimann et al., IEEE TMI 28 (2009) 1251.

    Args:
        prediction: [N, H, W] or [N, D, H, W], integer classes, 0 is background.
        mask: the truth, of the same shape.
        classes: their number, background included.
    """
    pairs = zip(_by_class(prediction, classes), _by_class(mask, classes), strict=True)
    return torch.stack(
        [torch.stack([_distance(*structures) for structures in zip(*pair, strict=True)]) for pair in pairs]
    )


def _by_class(labels: Tensor, classes: int) -> Tensor:
    """Returns [N, classes - 1, ...], bool: the pixels of each foreground class."""
    return torch.stack([labels == label for label in range(1, classes)], dim=1)


def _distance(predicted: Tensor, actual: Tensor) -> Tensor:
    if not predicted.any() or not actual.any():
        is_absent_from_both = not predicted.any() and not actual.any()
        return torch.tensor(0.0 if is_absent_from_both else _LARGEST_DISTANCE, dtype=torch.float64)
    first, second = (_surface(structure) for structure in (predicted, actual))
    distances = torch.cat([_nearest(first, second), _nearest(second, first)])
    return distances.mean().clamp(max=_LARGEST_DISTANCE)


def _surface(structure: Tensor) -> Tensor:
    """Returns the coordinates [S, D] of the pixels that have a neighbour outside the structure or the image."""
    is_inner = structure
    for axis in range(structure.ndim):
        padding = [0, 0] * (structure.ndim - 1 - axis) + [1, 1]
        padded = functional.pad(structure, padding)
        size = structure.shape[axis]
        is_inner = is_inner & padded.narrow(axis, 0, size) & padded.narrow(axis, 2, size)
    return (structure & ~is_inner).nonzero().double()


def _nearest(points: Tensor, targets: Tensor) -> Tensor:
    """Returns the distance of each point to the nearest target."""
    return torch.cat([torch.cdist(chunk, targets).amin(1) for chunk in torch.split(points, 1024)])
