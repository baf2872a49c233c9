"""A short description of an image that no training changes: random textures, grey values and their places.

Images of one site resemble each other in it, and images of other organs, machines and exports do not. Filters, scales
and bins were chosen on training patients of public sites (docs/evaluation.md, "Answers that are not given").
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FILTERS, SIDE, SCALES, GREY_BINS, CELLS = 24, 5, 3, 16, 4
STEPS, STEP_SCALES = (0.5, 1.5, 3.5, 8.5, 20.5), 2
"""Grey values of 255 between neighbours, and at how many scales: how flat, noisy or compressed an image is."""
_SMALLEST_RESPONSE = 1e-3


class ImageDescriptor(nn.Module):
    """Textures, grey values, steps between neighbours, and the grey values of 4 x 4 cells.

    A texture is the log mean square root of the responses of a random filter; grey values and steps are square roots of
    shares of pixels.

    Attributes:
        texture_width: the first numbers of an image, all but the cells, depend on no place in the image.
        width_out: how many numbers an image has.
    """

    filters: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        filters = torch.randn(FILTERS, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        filters = filters - filters.mean((1, 2, 3), keepdim=True)  # none answers to brightness
        self.register_buffer("filters", filters / filters.flatten(1).norm(dim=1)[:, None, None, None])
        self.texture_width = FILTERS * SCALES + GREY_BINS + 2 + 2 * len(STEPS) * STEP_SCALES
        self.width_out = self.texture_width + CELLS**2

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, ``width_out``], always in float32."""
        with torch.autocast(images.device.type, enabled=False):
            scaled, textures = images.float(), []
            for _ in range(SCALES):
                padded = functional.pad(scaled, (SIDE // 2,) * 4, mode="replicate")
                responses = functional.conv2d(padded, self.filters).abs().sqrt().mean((2, 3))
                textures.append((responses + _SMALLEST_RESPONSE).log())
                scaled = functional.avg_pool2d(scaled, 2)
            grey = images.float().mean(1, keepdim=True)
            shares = torch.cat([_grey_shares(grey.flatten(1)), _step_shares(grey)], dim=1)
            cells = functional.adaptive_avg_pool2d(grey, CELLS).flatten(1)
            return torch.cat([*textures, shares.sqrt(), cells], dim=1)


def _grey_shares(grey: Tensor) -> Tensor:
    """Returns [N, ``GREY_BINS`` + 2]: the shares of pixels in bins of equal width, of black and of white ones."""
    bins = (grey * GREY_BINS).long().clamp(0, GREY_BINS - 1)
    shares = torch.stack([(bins == number).float().mean(1) for number in range(GREY_BINS)], dim=1)
    ends = torch.stack([(grey < 1 / 255).float().mean(1), (grey > 254 / 255).float().mean(1)], dim=1)
    return torch.cat([shares, ends], dim=1)


def _step_shares(grey: Tensor) -> Tensor:
    """Returns the shares of steps below each of ``STEPS``, along columns and rows at each scale, of [N, 1, H, W]."""
    shares = []
    for _ in range(STEP_SCALES):
        for axis in (3, 2):
            steps = grey.diff(dim=axis).abs().flatten(1) * 255
            shares += [(steps < limit).float().mean(1) for limit in STEPS]
        grey = functional.avg_pool2d(grey, 2)
    return torch.stack(shares, dim=1)
