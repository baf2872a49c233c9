"""A classifier with a decoder from its feature maps to images."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.classifier import Classifier
from anamnesis.records import NetworkSettings

DOUBLINGS = 3
"""Both backbones halve the image three times."""


class AutoEncoder(Classifier):
    """Encoder, growing head on global average pooling, and decoder; its logits are the classifier's bit for bit."""

    def __init__(self, spec: NetworkSettings, seed: int, classes: int = 0) -> None:
        super().__init__(spec, seed, classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.decoder = Decoder(self.backbone.width_out, spec)

    def decode(self, maps: Tensor) -> Tensor:
        """Maps feature maps [N, F, h, w] to images [N, C, H, W] in [0, 1], in float32."""
        return self.decoder(maps).float()  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """The mirrored encoder: three times convolution, ReLU and doubling; no norm, so that images are independent."""

    def __init__(self, width: int, spec: NetworkSettings) -> None:
        super().__init__()
        widths = [width] + [max(spec.width, width >> (step + 1)) for step in range(DOUBLINGS)]
        self.blocks = nn.ModuleList(
            nn.Conv2d(channels_in, channels_out, 3, padding=1) for channels_in, channels_out in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, padding=1)
        self.size = spec.size

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, F, h, w] to [N, C, H, W] between 0 and 1."""
        for remaining_doublings, block in zip(reversed(range(DOUBLINGS)), self.blocks, strict=True):
            size = [-(-side // 2**remaining_doublings) for side in self.size]  # sizes need not be multiples of 8
            maps = functional.interpolate(functional.relu(block(maps)), size)
        return self.last(maps).sigmoid()  # type: ignore[no-any-return]
