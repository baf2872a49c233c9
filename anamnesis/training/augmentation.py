"""Augmentation of a whole batch at once, on its device: small rotations, shifts, scalings and contrast."""

from dataclasses import dataclass

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
        """Returns changed images [N, C, H, W] in [0, 1], and masks [N, H, W] with the same map (nearest neighbour)."""
        grid = functional.affine_grid(
            self._random_affine_maps(images.shape[0], generator).to(images), list(images.shape), align_corners=False
        )
        augmented = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        gain, bias = _uniform_draws(2, images.shape[0], generator).to(images)[..., None, None, None]
        augmented = ((augmented - 0.5) * (1 + self.contrast * gain) + 0.5 + self.brightness * bias).clamp_(0, 1)
        if masks is None:
            return augmented, None
        augmented_masks = functional.grid_sample(masks[:, None].to(images), grid, mode="nearest", align_corners=False)
        return augmented, augmented_masks[:, 0].to(masks.dtype)

    def _random_affine_maps(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns one random affine map [count, 2, 3] per image."""
        rotation, zoom, shift_x, shift_y = _uniform_draws(4, count, generator)
        angle = torch.deg2rad(self.degrees * rotation)
        zoom_factor = 1 + self.scale * zoom
        flip_sign = 1.0 - 2.0 * (torch.rand(count, generator=generator) < self.flip).float()
        cos, sin = zoom_factor * angle.cos(), zoom_factor * angle.sin()
        first_row = torch.stack([flip_sign * cos, -sin, 2 * self.shift * shift_x], dim=1)
        second_row = torch.stack([flip_sign * sin, cos, 2 * self.shift * shift_y], dim=1)
        return torch.stack([first_row, second_row], dim=1)


def _uniform_draws(rows: int, count: int, generator: torch.Generator) -> Tensor:
    """Returns [rows, count] numbers between -1 and 1."""
    return torch.rand(rows, count, generator=generator) * 2 - 1
