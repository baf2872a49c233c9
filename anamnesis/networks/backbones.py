"""Backbones for small images: each maps [N, channels, H, W] to feature maps [N, ``width_out``, h, w]."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anamnesis.records import InputError, NetworkSettings

GROUPS = 8

SMALLEST_RESNET_WIDTH, _LARGEST_NARROW_SIDE = 16, 32
"""oneDNN with AVX-512 writes past its memory in the backward pass of a convolution 1 x 1 with stride 2 of 8 channels on
48 pixels or more (PyTorch 2.13): the training process dies, or its numbers change."""


class Backbone(nn.Module):
    """A network without a head.

    Attributes:
        width_out: channels of the feature maps.
    """

    width_out: int


class SmallCNN(Backbone):
    """Four convolution blocks, each norm, ReLU and halving; maps of 1/8 of the input, at least 7 x 7 for 64 pixels."""

    def __init__(self, spec: NetworkSettings) -> None:
        super().__init__()
        widths = (spec.width, 2 * spec.width, 4 * spec.width, 4 * spec.width)
        blocks: list[nn.Module] = []
        for index, (channels_in, channels_out) in enumerate(zip((spec.channels, *widths), widths, strict=False)):
            blocks += [
                nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
                _norm_layer(spec.norm)(channels_out),
                nn.ReLU(),
            ]
            if index < len(widths) - 1:  # no pooling after the last block, for the resolution of saliency maps
                blocks.append(nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*blocks)
        self.width_out = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, 4 width, H/8, W/8]."""
        return self.blocks(standardise(images))  # type: ignore[no-any-return]


class ResNet18(Backbone):
    """MONAI's ResNet-18 with the stem for small images: a 3 x 3 convolution of stride 1 and no pooling."""

    def __init__(self, spec: NetworkSettings) -> None:
        super().__init__()
        from monai.networks.nets.resnet import ResNet, ResNetBlock  # the import takes 2 s

        planes = [spec.width * factor for factor in (1, 2, 4, 8)]
        net = ResNet(
            ResNetBlock,
            [2, 2, 2, 2],
            planes,
            spatial_dims=2,
            n_input_channels=spec.channels,
            conv1_t_size=3,
            conv1_t_stride=1,
            no_max_pool=True,
            feed_forward=False,
        )
        if spec.norm == "group":
            _replace_batch_norms(net)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.act)
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)
        self.width_out = planes[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, 8 width, H/8, W/8]."""
        return self.layers(self.stem(standardise(images)))  # type: ignore[no-any-return]


BACKBONES: dict[str, type[Backbone]] = {"SmallCNN": SmallCNN, "ResNet18": ResNet18}


def build_backbone(spec: NetworkSettings, seed: int) -> Backbone:
    """Returns a backbone whose initial weights depend on ``spec`` and ``seed`` alone.

    Raises:
        InputError: an unknown name or norm, or a width that is not a multiple of the groups of the norm.
    """
    if spec.name not in BACKBONES:
        raise InputError(f"network.name: expected one of {', '.join(BACKBONES)}, found {spec.name!r}")
    if spec.norm not in ("group", "batch"):
        raise InputError(f"network.norm: expected one of group, batch, found {spec.norm!r}")
    if spec.channels not in (1, 3):
        raise InputError(f"network.channels: expected 1 or 3, found {spec.channels}")
    if min(spec.size) < 16:
        raise InputError(f"network.size: expected two sides of 16 pixels or more, found {list(spec.size)}")
    if spec.norm == "group" and (spec.width < GROUPS or spec.width % GROUPS):
        raise InputError(f"network.width: expected a multiple of {GROUPS} for network.norm group, found {spec.width}")
    if spec.name == "ResNet18" and spec.width < SMALLEST_RESNET_WIDTH and max(spec.size) > _LARGEST_NARROW_SIDE:
        raise InputError(
            f"network.width: expected {SMALLEST_RESNET_WIDTH} or more for ResNet18 and images above "
            f"{_LARGEST_NARROW_SIDE} pixels, found {spec.width}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BACKBONES[spec.name](spec)


def standardise(images: Tensor) -> Tensor:
    """Scales images from [0, 1] to about zero mean and unit variance; otherwise an offset dominates the first layer."""
    return (images - 0.5) / 0.25


def _replace_batch_norms(network: nn.Module) -> None:
    """Replaces every batch normalisation: MONAI applies its ``norm`` to the stem only, not to the blocks."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(GROUPS, child.num_features))


def _norm_layer(name: str) -> Callable[[int], nn.Module]:
    if name == "batch":
        return nn.BatchNorm2d
    return lambda width: nn.GroupNorm(GROUPS, width)
