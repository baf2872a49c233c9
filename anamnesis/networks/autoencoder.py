"""A classifier with a decoder from its feature maps to images."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.classifier import Classifier
from anamnesis.records import NetworkSettings

_WIDEST_LAYER, _WIDEST_LAST_LAYER = 128, 64
"""Channels of the decoder. Half of an EfficientNet's 1,280 made four times as many multiplications as the encoder."""


class AutoEncoder(Classifier):
    """Encoder, growing head on global average pooling, and decoder; its logits are the classifier's bit for bit."""

    def __init__(self, spec: NetworkSettings, seed: int, classes: int = 0) -> None:
        super().__init__(spec, seed, classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.decoder = Decoder(self.backbone, spec)

    def decode(self, maps: Tensor) -> Tensor:
        """Maps feature maps [N, F, *cells] to images [N, C, *sides] in [0, 1], in float32."""
        return self.decoder(maps).float()  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """The mirrored encoder: convolution, ReLU and doubling; no norm, so that images are independent.

    It doubles as often as the encoder's declared stride needs, and each time to the size that the mirrored halving had.
    """

    def __init__(self, backbone: Backbone, spec: NetworkSettings) -> None:
        super().__init__()
        self.size, width = spec.size, backbone.width_out
        convolution = nn.Conv2d if backbone.spatial_dims == 2 else nn.Conv3d
        smallest = min(backbone.levels[0].channels, _WIDEST_LAST_LAYER)
        doublings = math.ceil(math.log2(backbone.levels[-1].stride))
        first = min(width // 2, _WIDEST_LAYER)
        widths = [width] + [max(smallest, first >> step) for step in range(doublings)]
        self.blocks = nn.ModuleList(
            convolution(channels_in, channels_out, 3, padding=1) for channels_in, channels_out in pairwise(widths)
        )
        self.last = convolution(widths[-1], spec.channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [N, F, *cells] to [N, C, *sides] between 0 and 1."""
        for remaining_doublings, block in zip(reversed(range(len(self.blocks))), self.blocks, strict=True):
            size = [-(-side // 2**remaining_doublings) for side in self.size]  # sizes need not be multiples of 8
            maps = functional.interpolate(functional.relu(block(maps)), size)
        return self.last(maps).sigmoid()  # type: ignore[no-any-return]
