"""Networks of MONAI as backbones, for images and for volumes."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from anamnesis.networks.backbone import Backbone, Normalisation, normalisation_of
from anamnesis.networks.own_networks import replace_batch_norms
from anamnesis.networks.shapes import Maps, measure_levels
from anamnesis.records import InputError, NetworkSettings
from anamnesis.records.network_options import (
    MONAI_PREFIX,
    MonaiEfficientNetOptions,
    MonaiOptions,
    MonaiResNetOptions,
    MonaiSwinOptions,
    MonaiViTOptions,
    Norm,
)

_REFERENCE_SIDE = 256
_VIT_LEVELS = 4


class MonaiNetwork(Backbone):
    """A network of MONAI, by its name there, without its classifier.

    The levels are the outputs of its stages; of ``ViT`` the token grids after each quarter of the blocks. The last
    level is what MONAI's own classifier averages.
    """

    module: nn.Module

    def __init__(self, settings: NetworkSettings, options: Any) -> None:
        spatial_dims = len(settings.size)
        try:
            net, maps_of, names = _FAMILIES[type(options)](settings, options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"network: MONAI cannot build {settings.type} with {options} for {list(settings.size)}: "
                f"{' '.join(str(error).split())[:200]}; correct network.input.size and network.options"
            ) from error
        if getattr(options, "norm", Norm.BATCH) is Norm.GROUP:
            replace_batch_norms(net)
        has_fixed_size = isinstance(options, MonaiViTOptions)
        side = max(_REFERENCE_SIDE, *settings.size)
        reference_size = settings.size if has_fixed_size else [side] * spatial_dims
        levels, _ = measure_levels(net, maps_of, names=names, settings=settings, reference_size=reference_size)
        super().__init__(levels, spatial_dims, normalisation_of(settings, Normalisation()))
        self.module, self._maps_of = net, maps_of

    @property
    def library_module(self) -> nn.Module:
        """The network of MONAI, without its classifier."""
        return self.module

    def level_maps(self, images: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Maps normalised [N, C, *sides] to the maps [N, F, *cells] of the levels with these numbers."""
        maps = self._maps_of(self.module, images)
        return tuple(maps[number] for number in numbers)


def _name(settings: NetworkSettings) -> str:
    return settings.type.removeprefix(MONAI_PREFIX)


def _build_resnet(settings: NetworkSettings, options: MonaiResNetOptions) -> tuple[Any, Maps, list[str]]:
    from monai.networks.nets import resnet

    net = getattr(resnet, _name(settings))(
        pretrained=False,
        spatial_dims=len(settings.size),
        n_input_channels=settings.channels,
        conv1_t_size=options.stem_size,
        conv1_t_stride=options.stem_stride,
        no_max_pool=not options.stem_pool,
        shortcut_type=options.shortcut.value.upper(),
        bias_downsample=options.bias_downsample,
        widen_factor=options.width / 64,
        feed_forward=False,
    )
    return net, _resnet_maps, [f"layer{number}" for number in range(1, 5)]


def _resnet_maps(net: Any, images: Tensor) -> list[Tensor]:
    maps = net.act(net.bn1(net.conv1(images)))
    return _stage_maps((net.layer1, net.layer2, net.layer3, net.layer4), maps if net.no_max_pool else net.maxpool(maps))


def _stage_maps(stages: tuple[nn.Module, ...], maps: Tensor) -> list[Tensor]:
    all_maps = []
    for stage in stages:
        maps = stage(maps)
        all_maps.append(maps)
    return all_maps


def _build_dense_or_squeeze_net(settings: NetworkSettings, options: MonaiOptions) -> tuple[Any, Maps, list[str]]:
    from monai.networks import nets

    name, dims, channels = _name(settings), len(settings.size), settings.channels
    if name.startswith("DenseNet"):
        net = getattr(nets, name)(spatial_dims=dims, in_channels=channels, out_channels=1)
        net.class_layers.out = nn.Identity()
        return net, _densenet_maps, [f"denseblock{number}" for number in range(1, 4)] + ["norm5"]
    net = getattr(nets, name)(spatial_dims=dims, in_channels=channels, num_classes=1)
    net.last_linear = nn.Identity()
    return net, _squeeze_net_maps, [f"layer{number}" for number in range(1, 5)]


def _densenet_maps(net: Any, images: Tensor) -> list[Tensor]:
    maps, all_maps = images, []
    for name, module in net.features.named_children():
        maps = module(maps)
        if name in ("denseblock1", "denseblock2", "denseblock3"):
            all_maps.append(maps.clone())  # the next normalisation's ReLU overwrites its input
    return [*all_maps, net.class_layers.relu(maps)]


def _squeeze_net_maps(net: Any, images: Tensor) -> list[Tensor]:
    return _stage_maps((net.layer1, net.layer2, net.layer3, net.layer4), net.layer0(images))


def _build_efficientnet(settings: NetworkSettings, options: MonaiEfficientNetOptions) -> tuple[Any, Maps, list[str]]:
    from monai.networks.nets.efficientnet import EfficientNetBN

    name = f"efficientnet-{options.variant.value}"
    net: Any = EfficientNetBN(
        name, pretrained=False, spatial_dims=len(settings.size), in_channels=settings.channels, num_classes=1
    )
    net.set_swish(memory_efficient=False)  # the other one has no gradients per image
    net._fc = nn.Identity()
    names = [f"_blocks.{number}" for number in range(len(net._blocks))]
    return net, _efficientnet_maps, [*names, "_conv_head"]


def _efficientnet_maps(net: Any, images: Tensor) -> list[Tensor]:
    maps = net._swish(net._bn0(net._conv_stem(net._conv_stem_padding(images))))
    all_maps = _stage_maps(tuple(net._blocks), maps)
    return [*all_maps, net._swish(net._bn1(net._conv_head(net._conv_head_padding(all_maps[-1]))))]


def _build_vit(settings: NetworkSettings, options: MonaiViTOptions) -> tuple[Any, Maps, list[str]]:
    from monai.networks.nets.vit import ViT

    if any(side % options.patch for side in settings.size):
        raise InputError(
            f"network.input.size: expected multiples of the patch of {options.patch}, found {list(settings.size)}; "
            "change it, or network.options.patch"
        )
    net = ViT(
        in_channels=settings.channels,
        img_size=settings.size,
        patch_size=options.patch,
        hidden_size=options.embedding,
        mlp_dim=4 * options.embedding,
        num_layers=options.depth,
        num_heads=options.heads,
        spatial_dims=len(settings.size),
    )
    cells = [side // options.patch for side in settings.size]
    count = min(_VIT_LEVELS, options.depth)
    ends = [options.depth * (quarter + 1) // count - 1 for quarter in range(count)]

    def vit_maps(vit: Any, images: Tensor) -> list[Tensor]:
        tokens, hidden_tokens = vit(images)
        levels = [*(hidden_tokens[end] for end in ends[:-1]), tokens]
        return [level.transpose(1, 2).unflatten(2, cells) for level in levels]

    return net, vit_maps, [f"blocks.{end}" for end in ends]


def _build_swin(settings: NetworkSettings, options: MonaiSwinOptions) -> tuple[Any, Maps, list[str]]:
    from monai.networks.nets.swin_unetr import SwinTransformer

    dims = len(settings.size)
    net = SwinTransformer(
        in_chans=settings.channels,
        embed_dim=options.embedding,
        window_size=(options.window,) * dims,
        patch_size=(options.patch,) * dims,
        depths=(2, 2, 2, 2),
        num_heads=(3, 6, 12, 24),
        spatial_dims=dims,
    )
    return net, lambda swin, images: list(swin(images)), ["patch_embed", *(f"layers{n}" for n in range(1, 5))]


_FAMILIES: Mapping[type, Callable[[NetworkSettings, Any], tuple[Any, Maps, list[str]]]] = {
    MonaiResNetOptions: _build_resnet,
    MonaiOptions: _build_dense_or_squeeze_net,
    MonaiEfficientNetOptions: _build_efficientnet,
    MonaiViTOptions: _build_vit,
    MonaiSwinOptions: _build_swin,
}
