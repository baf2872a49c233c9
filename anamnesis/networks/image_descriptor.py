"""A short description of an image that no training changes: how strong random textures are in it, and its grey values.

Images of one site resemble each other in it, and images of other organs, machines and exports do not. It was chosen on
training patients of public sites (``python -m benchmarks abstention``).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FILTERS, SIDE, SCALES, GREY_BINS = 8, 5, 3, 16
_SMALLEST_RESPONSE = 1e-3


class ImageDescriptor(nn.Module):
    """Log mean absolute responses of random filters at several scales, and the square roots of a histogram.

    Attributes:
        width_out: how many numbers an image has.
    """

    filters: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        filters = torch.randn(FILTERS, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        filters = filters - filters.mean((1, 2, 3), keepdim=True)  # none answers to brightness
        self.register_buffer("filters", filters / filters.flatten(1).norm(dim=1)[:, None, None, None])
        self.width_out = FILTERS * SCALES + GREY_BINS + 2

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] in [0, 1] to [N, ``width_out``], always in float32."""
        with torch.autocast(images.device.type, enabled=False):
            scaled, features = images.float(), []
            for _ in range(SCALES):
                padded = functional.pad(scaled, (SIDE // 2,) * 4, mode="replicate")
                responses = functional.conv2d(padded, self.filters).abs().mean((2, 3))
                features.append((responses + _SMALLEST_RESPONSE).log())
                scaled = functional.avg_pool2d(scaled, 2)
            return torch.cat([*features, _grey_shares(images.float().mean(1).flatten(1)).sqrt()], dim=1)


def _grey_shares(grey: Tensor) -> Tensor:
    """Returns [N, ``GREY_BINS`` + 2]: the shares of pixels in bins of equal width, of black and of white ones."""
    bins = (grey * GREY_BINS).long().clamp(0, GREY_BINS - 1)
    shares = torch.stack([(bins == number).float().mean(1) for number in range(GREY_BINS)], dim=1)
    ends = torch.stack([(grey < 1 / 255).float().mean(1), (grey > 254 / 255).float().mean(1)], dim=1)
    return torch.cat([shares, ends], dim=1)
