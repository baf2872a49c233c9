"""A classifier whose head reads several levels of a backbone, each averaged over a grid of cells."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbone import Backbone, last_levels
from anamnesis.networks.classifier import Classifier
from anamnesis.networks.heads import GrowingHead
from anamnesis.networks.random_features import GRID, average_over_grid
from anamnesis.records import InputError

MAXIMUM_LEVEL_FEATURES = 512
"""Features of a level with a grid that is chosen, where the level has no more channels."""

LARGEST_FEATURES = 20_000
"""Features of an image; the sums over them take the square of that."""


class PooledLevels(nn.Module):
    """The last levels of a backbone, each averaged over a grid: images to one tensor of features.

    Attributes:
        backbone: whose levels are averaged.
        grids: cells along each side, of each of its last levels.
    """

    def __init__(self, backbone: Backbone, grids: tuple[int, ...]) -> None:
        super().__init__()
        self.backbone, self.grids = backbone, grids

    def extra_repr(self) -> str:
        """Returns the settings that are not layers; they count for the digest of the network."""
        return f"grids={self.grids}"

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Maps images [N, C, *sides] in [0, 1] to features [N, D], in float32."""
        return (self.pool(last_levels(self.backbone, len(self.grids), images)),)

    def pool(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps the maps of the levels to features [N, D], in float32."""
        pooled = [average_over_grid(level.float(), grid) for level, grid in zip(maps, self.grids, strict=True)]
        return torch.cat(pooled, dim=1)


class LevelClassifier(Classifier):
    """The last levels of a backbone, averaged over a grid, with or without a random projection, and a growing head.

    The projection is that of RanPAC (McDonnell et al., NeurIPS 2023): ReLU of random directions of the features, which
    have unit length here, so that it depends on no site.

    Attributes:
        level_count: how many of the last levels.
        grids: cells along each side, of each level.
        projection: [features of the levels, features of an image], of the random projection; empty without one.
    """

    projection: Tensor

    def __init__(self, backbone: Backbone, level_count: int, grid: int, projection: int, seed: int) -> None:
        """Builds an empty head.

        Raises:
            InputError: an image has so many features that their sums do not fit in memory.
        """
        super(Classifier, self).__init__()
        total = len(backbone.levels)
        self.backbone, self.level_count = backbone, min(level_count, total) or total
        widths, dims = [level.channels for level in backbone.levels[-self.level_count :]], backbone.spatial_dims
        self.grids = tuple(grid or _largest_grid(width, dims) for width in widths)
        self.level_widths = tuple(width * side**dims for width, side in zip(widths, self.grids, strict=True))
        if sum(self.level_widths) > LARGEST_FEATURES:
            raise InputError(
                f"frozen_ridge.grid: {self.level_count} levels with {', '.join(map(str, self.grids))} cells along each "
                f"side give an image {sum(self.level_widths)} features, and sums take the square of that; expected at "
                f"most {LARGEST_FEATURES}, lower frozen_ridge.grid, or set fewer frozen_ridge.levels"
            )
        generator = torch.Generator().manual_seed(seed)
        shape = (sum(self.level_widths), projection) if projection else (0,)
        self.register_buffer("projection", torch.randn(shape, generator=generator))
        self.head = GrowingHead(projection or sum(self.level_widths))

    def level_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps images [N, C, *sides] to the maps [N, F, *cells] of the levels, fine to coarse."""
        return last_levels(self.backbone, self.level_count, images)

    def embed_levels(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps the maps of the levels to what the head reads [N, D], in float32."""
        return self.project(PooledLevels(self.backbone, self.grids).pool(maps))

    def project(self, features: Tensor) -> Tensor:
        """Maps the averages over the levels' grids to what the head reads [N, D]."""
        if not self.projection.numel():
            return features
        return functional.relu(functional.normalize(features) @ self.projection)

    def classify_levels(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps the maps of the levels to logits [N, K]."""
        return self.head(self.embed_levels(maps))  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [N, C, *sides] to logits [N, K]."""
        return self.classify_levels(self.level_maps(images))

    def load_head(self, weight: Tensor, bias: Tensor) -> None:
        """Replaces the rows of the head by [K, F] weights on the mean of the last level, and [K] biases.

        The mean of the maps is that of the cells where these are equally large.
        """
        cells = self.level_widths[-1] // weight.shape[1]
        earlier = weight.new_zeros(len(weight), sum(self.level_widths[:-1]))
        super().load_head(torch.cat([earlier, weight.repeat_interleave(cells, dim=1) / cells], dim=1), bias)


def _largest_grid(width: int, spatial_dims: int) -> int:
    """Returns the cells along each side of a level, at most ``GRID``, as far as they give few enough features."""
    return max((side for side in range(2, GRID + 1) if width * side**spatial_dims <= MAXIMUM_LEVEL_FEATURES), default=1)
