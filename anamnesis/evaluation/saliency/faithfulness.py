"""Whether a map points at what the network uses: deletion and insertion (Petsiuk et al., RISE, BMVC 2018)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from anamnesis.evaluation.saliency.maps import Network
from anamnesis.networks import evaluating


def deletion_auc(network: Network, images: Tensor, columns: Tensor, maps: Tensor, steps: int = 16) -> Tensor:
    """Returns [N]: area under the class's probability while pixels, most salient first, turn into the image's mean.

    Lower is better.

    Args:
        network: see ``Network``.
        images: [N, channels, H, W].
        columns: [N], the class explained.
        maps: [N, h, w].
        steps: into how many equal parts the pixels are cut.
    """
    return _area(network, images, images.mean((2, 3), keepdim=True).expand_as(images), columns, maps, steps)


def insertion_auc(network: Network, images: Tensor, columns: Tensor, maps: Tensor, steps: int = 16) -> Tensor:
    """Returns [N]: area under the class's probability while a blurred image gets its pixels back, most salient first.

    Higher is better. Blurred means averaged over an 8 x 8 grid and interpolated. Arguments as ``deletion_auc``.
    """
    coarse = F.adaptive_avg_pool2d(images, 8)
    blurred = F.interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)
    return _area(network, blurred, images, columns, maps, steps)


@torch.no_grad()
def _area(network: Network, start: Tensor, end: Tensor, columns: Tensor, maps: Tensor, steps: int) -> Tensor:
    """Trapezoidal area under p(class) while the pixels of ``start`` are replaced by those of ``end``."""
    size = start.shape[-2:]
    salience = F.interpolate(maps[:, None].to(start), size, mode="bilinear", align_corners=False).flatten(1)
    order = salience.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1).view(-1, 1, *size)
    curve = []
    with evaluating(network):
        for step in range(steps + 1):  # one batch a step: all steps at once would need steps times the memory
            images = torch.where(rank < rank[0].numel() * step / steps, end, start)
            chances = network.classify(network.features(images)).float().softmax(1)
            curve.append(chances.gather(1, columns[:, None].to(chances.device))[:, 0])
    return torch.trapezoid(torch.stack(curve), dx=1 / steps, dim=0)
