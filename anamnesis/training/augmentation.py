"""Augmentation of a whole batch at once, on its device: small rotations, shifts, scalings and contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Limits of the random changes.

    Attributes:
        degrees: largest rotation.
        shift: largest shift, as a share of the image.
        scale: largest change of size, as a share.
        contrast: largest change of contrast, as a share.
        brightness: largest shift of intensity, in units of the full range.
        flip: probability of a left-right flip; 0 by default, because the side of the body matters.
    """

    degrees: float = 10.0
    shift: float = 0.06
    scale: float = 0.1
    contrast: float = 0.15
    brightness: float = 0.08
    flip: float = 0.0

    def __call__(
        self, images: Tensor, generator: torch.Generator, masks: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns changed images [N, C, *sides] in [0, 1], and masks [N, *sides] with the same map (nearest neighbour).

        A volume turns about each of its three axes.
        """
        spatial_dims = images.dim() - 2
        maps = self._random_affine_maps(images.shape[0], images.shape[2:], generator)
        grid = functional.affine_grid(maps.to(images), list(images.shape), align_corners=False)
        augmented = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        gain, bias = _uniform_draws(2, images.shape[0], generator).to(images).view(2, -1, 1, *(1,) * spatial_dims)
        augmented = augmented.sub_(0.5).mul_(1 + self.contrast * gain).add_(0.5).add_(self.brightness * bias)
        augmented = augmented.clamp_(0, 1)  # in place, as the sum above: new memory would take half of the time
        if masks is None:
            return augmented, None
        augmented_masks = functional.grid_sample(masks[:, None].to(images), grid, mode="nearest", align_corners=False)
        return augmented, augmented_masks[:, 0].to(masks.dtype)

    def _random_affine_maps(self, count: int, size: Sequence[int], generator: torch.Generator) -> Tensor:
        """Returns one random affine map [count, 2, 3] or [count, 3, 4] per image; its axes are x, y and then z."""
        axes = len(size)
        planes = list(combinations(range(axes), 2))
        draws = _uniform_draws(len(planes) + 1 + axes, count, generator)
        rotations, zoom, shifts = draws[: len(planes)], draws[len(planes)], draws[len(planes) + 1 :]
        flip_sign = 1.0 - 2.0 * (torch.rand(count, generator=generator) < self.flip).float()
        maps = torch.eye(axes).repeat(count, 1, 1)
        maps[:, 0, 0] = flip_sign
        for (first, second), rotation in zip(planes, rotations, strict=True):
            maps = _plane_rotations(axes, first, second, torch.deg2rad(self.degrees * rotation)) @ maps
        sides = torch.tensor(size[::-1], dtype=torch.float32)
        # The grid counts each side from -1 to 1, and a rotation keeps lengths in pixels.
        maps = (1 + self.scale * zoom)[:, None, None] * maps * (sides / sides[:, None])
        return torch.cat([maps, (2 * self.shift * shifts).T[..., None]], dim=2)


def _plane_rotations(axes: int, first: int, second: int, angles: Tensor) -> Tensor:
    """Returns rotations [count, axes, axes] in the plane of two axes."""
    rotations = torch.eye(axes).repeat(len(angles), 1, 1)
    rotations[:, first, first] = rotations[:, second, second] = angles.cos()
    rotations[:, first, second], rotations[:, second, first] = -angles.sin(), angles.sin()
    return rotations


def _uniform_draws(rows: int, count: int, generator: torch.Generator) -> Tensor:
    """Returns [rows, count] numbers between -1 and 1."""
    return torch.rand(rows, count, generator=generator) * 2 - 1
