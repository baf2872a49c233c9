"""Random convolutions that are never trained: what a method that learns features must be compared with.

He-initialised filters, each moved to zero mean over its inputs, so that none answers to brightness alone. Of what was
tried on the development sequence, these, the norm between layers and a grid of 4 x 4 cells helped by one or two points
each; more layers, larger kernels, finer grids and a random projection behind them did not. Larger images are averaged
down to the 64 pixels of that sequence: 224 pixels take far longer, and predicted no better on training patients.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbone import Backbone, FeatureLevel
from anamnesis.records.network_options import NORM_GROUPS

FILTERS = (32, 64)
LARGEST_SIDE = 64
GRID = 4


class RandomBackbone(Backbone):
    """Convolution, group norm, ReLU and halving for each of ``filters``; its weights are buffers and never learn."""

    def __init__(self, channels: int, seed: int, filters: tuple[int, ...] = FILTERS, *, spatial_dims: int = 2) -> None:
        levels = tuple(FeatureLevel(f"layer{n}", width, 2**n) for n, width in enumerate(filters, 1))
        super().__init__(levels, spatial_dims)
        generator = torch.Generator().manual_seed(seed)
        for layer, (channels_in, channels_out) in enumerate(zip((channels, *filters), filters, strict=False)):
            shape, fan_in = (channels_out, channels_in, *(3,) * spatial_dims), channels_in * 3**spatial_dims
            kernel = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
            mean = kernel.mean(tuple(range(1, kernel.dim())), keepdim=True)
            self.register_buffer(f"kernel_{layer}", kernel - mean)

    @torch.no_grad()
    def level_maps(self, images: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Returns the outputs of the layers with these numbers, always in float32.

        Images are averaged to at most ``LARGEST_SIDE`` pixels a side first.
        """
        with torch.autocast(images.device.type, enabled=False):
            sides = tuple(min(side, LARGEST_SIDE) for side in images.shape[2:])
            return self._convolve(average_over_cells(images.float(), sides), numbers)

    def _convolve(self, maps: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        is_volume, outputs = self.spatial_dims == 3, []
        convolve = functional.conv3d if is_volume else functional.conv2d
        halve = functional.max_pool3d if is_volume else functional.max_pool2d
        for layer in range(len(self.levels)):
            maps = functional.group_norm(convolve(maps, getattr(self, f"kernel_{layer}"), padding=1), NORM_GROUPS)
            maps = halve(functional.relu(maps), 2)
            if layer in numbers:
                outputs.append(maps)
        return tuple(outputs)


class RandomFeatures(nn.Module):
    """Random convolutions averaged over a grid of cells.

    Attributes:
        width_out: how many features an image has.
    """

    def __init__(
        self,
        channels: int,
        seed: int = 0,
        filters: tuple[int, ...] = FILTERS,
        grid: int = GRID,
        *,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.backbone = RandomBackbone(channels, seed, filters, spatial_dims=spatial_dims)
        self.grid, self.width_out = grid, filters[-1] * grid**spatial_dims

    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, *sides] in [0, 1] to [N, ``width_out``], in float32."""
        return self.pool(self.feature_maps(images))

    def feature_maps(self, images: Tensor) -> Tensor:
        """Maps [N, C, *sides] in [0, 1] to [N, F, *cells], in float32; see ``RandomBackbone``."""
        return self.backbone(images)  # type: ignore[no-any-return]

    def pool(self, feature_maps: Tensor) -> Tensor:
        """Maps feature maps [N, F, *cells] to [N, ``width_out``]."""
        return average_over_grid(feature_maps, self.grid)


def average_over_grid(maps: Tensor, grid: int) -> Tensor:
    """Averages maps [N, F, *cells] over a grid of ``grid`` cells along each side: [N, F x grid^sides]."""
    return average_over_cells(maps, (grid,) * (maps.dim() - 2)).flatten(1)


def average_over_cells(maps: Tensor, cells: tuple[int, ...]) -> Tensor:
    """Averages maps [N, F, *sides] over ``cells`` along each side: [N, F, *cells]."""
    pool: Callable[..., Tensor] = functional.adaptive_avg_pool2d if len(cells) == 2 else functional.adaptive_avg_pool3d
    return pool(maps, cells)
