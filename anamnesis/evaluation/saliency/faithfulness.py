"""Whether a map shows the pixels that the network uses: deletion and insertion (Petsiuk et al., RISE, BMVC 2018)."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from anamnesis.evaluation.saliency.maps import SaliencyNetwork
from anamnesis.networks import evaluation_mode


def deletion_auc(
    network: SaliencyNetwork, images: Tensor, class_indices: Tensor, maps: Tensor, steps: int = 16
) -> Tensor:
    """Returns [N]: area under the class's probability while pixels, most salient first, turn into the image's mean.

    Lower is better.

    Args:
        network: see ``SaliencyNetwork``.
        images: [N, channels, H, W].
        class_indices: [N], the explained class.
        maps: [N, h, w].
        steps: number of equal parts of the pixels.
    """
    uniform = images.mean((2, 3), keepdim=True).expand_as(images)
    frames = _replaced_pixels(images, uniform, maps, steps)
    return _probability_area(network, frames, class_indices, steps)


def insertion_auc(
    network: SaliencyNetwork, images: Tensor, class_indices: Tensor, maps: Tensor, steps: int = 16
) -> Tensor:
    """Returns [N]: area under the class's probability while a blurred image gets its pixels back, most salient first.

    Higher is better. The blurred image is an 8 x 8 grid of averages, interpolated. Arguments as ``deletion_auc``.
    """
    coarse = F.adaptive_avg_pool2d(images, 8)
    blurred = F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)
    frames = _replaced_pixels(blurred, images, maps, steps)
    return _probability_area(network, frames, class_indices, steps)


def _replaced_pixels(start_images: Tensor, end_images: Tensor, maps: Tensor, steps: int) -> Iterator[Tensor]:
    """Yields ``steps`` + 1 batches, from ``start_images`` to ``end_images``, the most salient pixels first."""
    size = start_images.shape[-2:]
    salience = F.interpolate(maps[:, None].to(start_images), size, mode="bilinear", align_corners=False).flatten(1)
    order = salience.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view(-1, 1, *size)
    for step in range(steps + 1):  # one batch a step: all steps at once would need steps times the memory
        yield torch.where(rank < rank[0].numel() * step / steps, end_images, start_images)


@torch.no_grad()
def _probability_area(network: SaliencyNetwork, frames: Iterable[Tensor], class_indices: Tensor, steps: int) -> Tensor:
    """Returns the trapezoidal area under p(class) over the batches of ``frames``."""
    curve = []
    with evaluation_mode(network):
        for images in frames:
            probabilities = network.classify(network.features(images)).float().softmax(1)
            curve.append(probabilities.gather(1, class_indices[:, None].to(probabilities.device))[:, 0])
    return torch.trapezoid(torch.stack(curve), dx=1 / steps, dim=0)
