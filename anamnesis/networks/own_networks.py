"""Our own networks for small images."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from anamnesis.networks.backbone import Backbone, FeatureLevel, Normalisation, normalisation_of
from anamnesis.records import InputError, NetworkSettings
from anamnesis.records.network_options import NORM_GROUPS, SMALLEST_OWN_SIDE, Norm, OwnNetworkOptions

SMALLEST_RESNET_WIDTH, _LARGEST_NARROW_SIDE = 16, 32
"""oneDNN with AVX-512 writes past its memory in the backward pass of a convolution 1 x 1 with stride 2 of 8 channels on
48 pixels or more (PyTorch 2.13): the training process dies, or its numbers change."""


class SmallCNN(Backbone):
    """Four convolution blocks, each norm, ReLU and halving; maps of 1/8 of the input, at least 7 x 7 for 64 pixels."""

    def __init__(self, settings: NetworkSettings, options: OwnNetworkOptions) -> None:
        check_two_sides(settings)
        widths = (options.width, 2 * options.width, 4 * options.width, 4 * options.width)
        super().__init__(_levels(widths), normalisation=normalisation_of(settings, Normalisation()))
        blocks: list[nn.Module] = []
        self._norm_positions: list[int] = []
        for index, (channels_in, channels_out) in enumerate(zip((settings.channels, *widths), widths, strict=False)):
            blocks += [
                nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
                _norm_layer(options.norm)(channels_out),
            ]
            self._norm_positions.append(len(blocks) - 1)
            if index < len(widths) - 1:  # no pooling after the last block, for the resolution of saliency maps
                blocks.append(nn.MaxPool2d(2))
            blocks.append(nn.ReLU())  # after the pooling it has the same values and gradients in a quarter of the time
        self.blocks = nn.Sequential(*blocks)

    def level_maps(self, images: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Maps [N, C, H, W] to the block outputs before their pooling, the last one [N, 4 width, H/8, W/8]."""
        positions = [self._norm_positions[number] for number in numbers if number < len(self.levels) - 1]
        *outputs, last_output = run_and_collect(self.blocks, images, [*positions, len(self.blocks) - 1])
        outputs = [functional.relu(output) for output in outputs]
        return (*outputs, last_output) if len(self.levels) - 1 in numbers else tuple(outputs)


class ResNet18(Backbone):
    """MONAI's ResNet-18 with the stem for small images: a 3 x 3 convolution of stride 1 and no pooling."""

    def __init__(self, settings: NetworkSettings, options: OwnNetworkOptions) -> None:
        from monai.networks.nets.resnet import ResNet, ResNetBlock  # the import takes 2 s

        check_two_sides(settings)
        if options.width < SMALLEST_RESNET_WIDTH and max(settings.size) > _LARGEST_NARROW_SIDE:
            raise InputError(
                f"network.options.width: expected {SMALLEST_RESNET_WIDTH} or more for ResNet18 and images above "
                f"{_LARGEST_NARROW_SIDE} pixels, found {options.width}"
            )
        planes = tuple(options.width * factor for factor in (1, 2, 4, 8))
        super().__init__(_levels(planes), normalisation=normalisation_of(settings, Normalisation()))
        net = ResNet(
            ResNetBlock,
            [2, 2, 2, 2],
            list(planes),
            spatial_dims=2,
            n_input_channels=settings.channels,
            conv1_t_size=3,
            conv1_t_stride=1,
            no_max_pool=True,
            feed_forward=False,
        )
        if options.norm is Norm.GROUP:
            replace_batch_norms(net)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.act)
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)

    def level_maps(self, images: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Maps [N, C, H, W] to the outputs of the four layers, the last one [N, 8 width, H/8, W/8]."""
        return run_and_collect(self.layers, self.stem(images), numbers)


def check_two_sides(settings: NetworkSettings) -> None:
    """Refuses sizes that the own networks cannot take.

    Raises:
        InputError: the size has a third side, or a side that is too short.
    """
    if len(settings.size) != 2 or min(settings.size) < SMALLEST_OWN_SIDE:
        raise InputError(
            f"network.input.size: expected two sides of {SMALLEST_OWN_SIDE} pixels or more for {settings.type}, found "
            f"{list(settings.size)}"
        )


def run_and_collect(
    modules: nn.Sequential, inputs: Tensor, positions: tuple[int, ...] | list[int]
) -> tuple[Tensor, ...]:
    """Runs modules one after the other, and returns the outputs of those at ``positions``."""
    outputs = []
    for position, module in enumerate(modules):
        inputs = module(inputs)
        if position in positions:
            outputs.append(inputs)
    return tuple(outputs)


def replace_batch_norms(network: nn.Module) -> None:
    """Replaces every batch normalisation: MONAI applies its ``norm`` to the stem only, not to the blocks."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.BatchNorm3d):
                setattr(parent, name, nn.GroupNorm(NORM_GROUPS, child.num_features))


def _levels(widths: tuple[int, ...]) -> tuple[FeatureLevel, ...]:
    return tuple(FeatureLevel(f"stage{number}", width, 2 ** (number - 1)) for number, width in enumerate(widths, 1))


def _norm_layer(norm: Norm) -> Callable[[int], nn.Module]:
    return nn.BatchNorm2d if norm is Norm.BATCH else lambda width: nn.GroupNorm(NORM_GROUPS, width)
