"""Whether a map shows the pixels that an answer depends on: deletion (Petsiuk et al., RISE, BMVC 2018)."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.saliency.resizing import resize_maps
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.records import Metric
from anamnesis.records.metric_names import DELETION, DELETION_ADVANTAGE, DELETION_RANDOM
from anamnesis.training.split_arrays.rows import predicted_at_once

STEPS = 10
"""Equal parts of the pixels that are deleted one after the other."""
RANDOM_ORDERS = 2
"""Random orders that each image is deleted in; their mean counts."""

Answer = Callable[[Tensor], Tensor]
"""Images [N, channels, ...] -> probabilities [N, K]."""


def faithfulness(
    answer: Answer, images: Tensor, class_indices: Tensor, maps: Tensor, patients: Sequence[str]
) -> dict[str, Metric]:
    """Returns ``Deletion``, ``DeletionRandom`` and ``DeletionAdvantage``, with 95 % intervals over patients.

    The advantage is that of deleting by the map over deleting in a random order, on the same images. The random order
    is that of the same map moved to a random place: it deletes areas of the same size and shape. Against single random
    pixels or cells, which no map deletes, the map of another image looks faithful too.

    Args:
        answer: of the method that the maps explain.
        images: [N, channels, ...] with one to three spatial axes.
        class_indices: [N], columns of the answered classes.
        maps: [N, ...] of these classes, with as many spatial axes.
        patients: [N], the patient of each image.
    """
    generator = torch.Generator().manual_seed(0)
    by_map = deletion_auc(answer, images, class_indices, maps).cpu()
    by_chance = torch.stack(
        [deletion_auc(answer, images, class_indices, move_maps(maps, generator)).cpu() for _ in range(RANDOM_ORDERS)]
    ).mean(0)
    values = {DELETION: by_map, DELETION_RANDOM: by_chance, DELETION_ADVANTAGE: by_chance - by_map}
    return mean_metrics(values, patients)


def move_maps(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Returns maps [N, ...], each rolled by a random distance along every spatial axis."""
    for axis, size in enumerate(maps.shape[1:], start=1):
        places = (torch.arange(size) + torch.randint(size, (len(maps), 1), generator=generator)) % size
        shape = [len(maps), *[1] * (axis - 1), size, *[1] * (maps.dim() - axis - 1)]
        maps = maps.take_along_dim(places.view(shape).to(maps.device), axis)
    return maps


def is_faithful(metrics: Mapping[str, Metric]) -> bool:
    """Returns whether deletion by the map was measured and beats random deletion: the interval is above 0."""
    advantage = metrics.get(DELETION_ADVANTAGE)
    return advantage is not None and advantage.low is not None and advantage.low > 0


def deletion_auc(answer: Answer, images: Tensor, class_indices: Tensor, maps: Tensor, steps: int = STEPS) -> Tensor:
    """Returns [N]: area under the class's probability while pixels, most salient first, turn into the image's mean.

    Lower is better; trapezoidal.

    Args:
        answer: see ``Answer``.
        images: [N, channels, ...] with one to three spatial axes.
        class_indices: [N], the explained class.
        maps: [N, ...], with as many spatial axes.
        steps: number of equal parts of the pixels.
    """
    size = predicted_at_once(images)
    parts = zip(*(torch.split(tensor, size) for tensor in (images, class_indices, maps)), strict=True)
    return torch.cat([_deletion_auc(answer, part, steps) for part in parts])


@torch.no_grad()
def _deletion_auc(answer: Answer, part: tuple[Tensor, ...], steps: int) -> Tensor:
    images, class_indices, maps = part
    columns = class_indices[:, None].to(images.device)
    curve = [answer(frame).float().gather(1, columns)[:, 0] for frame in _deletion_frames(images, maps, steps)]
    return torch.trapezoid(torch.stack(curve), dx=1 / steps, dim=0)


def _deletion_frames(images: Tensor, maps: Tensor, steps: int) -> Iterator[Tensor]:
    """Yields ``steps`` + 1 batches, from the images to their means, the most salient pixels first."""
    size = images.shape[2:]
    salience = resize_maps(maps.to(images), size).flatten(1)
    order = salience.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view(-1, 1, *size)
    means = images.mean(tuple(range(2, images.dim())), keepdim=True)
    for step in range(steps + 1):  # one batch a step: all steps at once would need steps times the memory
        yield torch.where(rank < rank[0].numel() * step / steps, means, images)
