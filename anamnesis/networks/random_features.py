"""Random convolutions that are never trained: what a method that learns features must be compared with.

He-initialised filters, each moved to zero mean over its inputs, so that none answers to brightness alone. Of what was
tried on the development sequence, these, the norm between layers and a grid of 4 x 4 cells helped by one or two points
each; more layers, larger kernels, finer grids and a random projection behind them did not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbones import GROUPS, Backbone, standardise
from anamnesis.networks.classifier import Classifier
from anamnesis.networks.heads import GrowingHead

FILTERS = (32, 64)
GRID = 4


class RandomBackbone(Backbone):
    """Convolution, group norm, ReLU and halving for each of ``filters``; its weights are buffers and never learn."""

    def __init__(self, channels: int, seed: int, filters: tuple[int, ...] = FILTERS) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.width_out, self.depth = filters[-1], len(filters)
        for layer, (channels_in, channels_out) in enumerate(zip((channels, *filters), filters, strict=False)):
            kernel = torch.randn(channels_out, channels_in, 3, 3, generator=generator) * (2 / (9 * channels_in)) ** 0.5
            self.register_buffer(f"kernel_{layer}", kernel - kernel.mean((1, 2, 3), keepdim=True))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, ``filters[-1]``, H/4, W/4], always in float32."""
        with torch.autocast(images.device.type, enabled=False):
            maps = standardise(images.float())
            for layer in range(self.depth):
                maps = functional.conv2d(maps, getattr(self, f"kernel_{layer}"), padding=1)
                maps = functional.group_norm(maps, GROUPS)
                maps = functional.max_pool2d(functional.relu(maps), 2)
        return maps


class RandomFeatures(nn.Module):
    """Random convolutions averaged over a grid of cells.

    Attributes:
        width_out: how many features an image has.
    """

    def __init__(self, channels: int, seed: int = 0, filters: tuple[int, ...] = FILTERS, grid: int = GRID) -> None:
        super().__init__()
        self.backbone, self.grid, self.width_out = RandomBackbone(channels, seed, filters), grid, filters[-1] * grid**2

    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, ``width_out``], in float32."""
        return self.pool(self.feature_maps(images))

    def feature_maps(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, F, H/4, W/4], in float32."""
        return self.backbone(images)  # type: ignore[no-any-return]

    def pool(self, feature_maps: Tensor) -> Tensor:
        """Maps feature maps [N, F, h, w] to [N, ``width_out``]."""
        return average_over_grid(feature_maps, self.grid)


class GridClassifier(Classifier):
    """A classifier whose head reads the average of every cell of a grid, not of the whole map alone."""

    def __init__(self, backbone: Backbone, grid: int = GRID) -> None:
        super(Classifier, self).__init__()
        self.backbone, self.grid = backbone, grid
        self.head = GrowingHead(backbone.width_out * grid * grid)

    def embed(self, features: Tensor) -> Tensor:
        """Maps feature maps [N, F, h, w] to what the head reads, [N, F x grid x grid], in float32."""
        return average_over_grid(features.float(), self.grid)

    def classify(self, features: Tensor) -> Tensor:
        """Maps feature maps [N, F, h, w] to logits [N, K], in float32."""
        return self.head(self.embed(features))  # type: ignore[no-any-return]


def average_over_grid(maps: Tensor, grid: int) -> Tensor:
    """Averages [N, F, h, w] over ``grid`` x ``grid`` cells: [N, F x grid x grid]."""
    return functional.adaptive_avg_pool2d(maps, grid).flatten(1)
