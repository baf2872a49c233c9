"""Whether a map points at what the network uses: deletion and insertion (Petsiuk et al., RISE, BMVC 2018)."""

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
        network: see ``Network``.
        images: [N, channels, H, W].
        class_indices: [N], the class explained.
        maps: [N, h, w].
        steps: into how many equal parts the pixels are cut.
    """
    return _probability_area(
        network, images, images.mean((2, 3), keepdim=True).expand_as(images), class_indices, maps, steps
    )


def insertion_auc(
    network: SaliencyNetwork, images: Tensor, class_indices: Tensor, maps: Tensor, steps: int = 16
) -> Tensor:
    """Returns [N]: area under the class's probability while a blurred image gets its pixels back, most salient first.

    Higher is better. Blurred means averaged over an 8 x 8 grid and interpolated. Arguments as ``deletion_auc``.
    """
    coarse = F.adaptive_avg_pool2d(images, 8)
    blurred = F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)
    return _probability_area(network, blurred, images, class_indices, maps, steps)


@torch.no_grad()
def _probability_area(
    network: SaliencyNetwork, start_images: Tensor, end_images: Tensor, class_indices: Tensor, maps: Tensor, steps: int
) -> Tensor:
    """Trapezoidal area under p(class) while the pixels of ``start_images`` are replaced by those of ``end_images``."""
    size = start_images.shape[-2:]
    salience = F.interpolate(maps[:, None].to(start_images), size, mode="bilinear", align_corners=False).flatten(1)
    order = salience.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view(-1, 1, *size)
    curve = []
    with evaluation_mode(network):
        for step in range(steps + 1):  # one batch a step: all steps at once would need steps times the memory
            images = torch.where(rank < rank[0].numel() * step / steps, end_images, start_images)
            probabilities = network.classify(network.features(images)).float().softmax(1)
            curve.append(probabilities.gather(1, class_indices[:, None].to(probabilities.device))[:, 0])
    return torch.trapezoid(torch.stack(curve), dx=1 / steps, dim=0)
