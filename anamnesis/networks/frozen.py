"""Random convolutional features that are never trained: what a method that learns no feature must be compared with."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbones import standardised


class RandomFeatures(nn.Module):
    """Random convolutions, ReLU, averages over a grid of cells, and a random projection with ReLU.

    Its weights are buffers that depend on ``seed`` and the sizes alone: no optimiser sees them, and no version has to
    store them.

    Attributes:
        width_out: features of an image.
    """

    def __init__(
        self, channels: int = 1, seed: int = 0, filters: tuple[int, ...] = (64, 128), grid: int = 4, width: int = 1500
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.grid, self.width_out, self.depth = grid, width, len(filters)
        for index, (before, after) in enumerate(zip((channels, *filters), filters, strict=False)):
            kernel = torch.randn(after, before, 3, 3, generator=generator) * (2 / (9 * before)) ** 0.5
            self.register_buffer(f"kernel_{index}", kernel, persistent=False)
        inner = filters[-1] * grid * grid
        self.register_buffer("mix", torch.randn(width, inner, generator=generator) / inner**0.5, persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Maps images [N, C, H, W] in [0, 1] to features [N, ``width_out``]."""
        maps = standardised(images)
        for index in range(self.depth):
            maps = functional.relu(functional.conv2d(maps, getattr(self, f"kernel_{index}"), padding=1))
            maps = functional.max_pool2d(maps, 2)
        cells = functional.adaptive_avg_pool2d(maps, self.grid).flatten(1)
        return functional.relu(functional.linear(cells, self.mix))  # type: ignore[arg-type]
