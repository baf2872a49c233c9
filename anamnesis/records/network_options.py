"""The types of networks that a resource may name, and the options of each.

Here and not beside the networks, because the operator checks them and has no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from anamnesis.records.codec import decode
from anamnesis.records.errors import InputError
from anamnesis.records.option_checks import check_bounds, check_rules, count_between, share
from anamnesis.records.option_rules import OptionRule

NORM_GROUPS = 8
"""Groups of a group normalisation."""
SMALLEST_OWN_SIDE = 16
"""Pixels of the shorter side of an image for the own networks."""


class Norm(StrEnum):
    """Normalisation of the layers."""

    GROUP = "group"
    """Group normalisation in eight groups."""
    BATCH = "batch"
    """Batch normalisation."""


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Options that every type of network has: none."""

    rules: ClassVar[tuple[OptionRule, ...]] = ()

    def __post_init__(self) -> None:
        check_bounds("network.options", self)
        check_rules("network.options", self, self.rules)


@dataclass(frozen=True, slots=True)
class OwnNetworkOptions(NetworkOptions):
    """Options of ``SmallCNN`` and ``ResNet18``.

    Attributes:
        norm: normalisation of the layers, ``group`` or ``batch``.
        width: channels of the first layer, which determine all others; for ``group`` a multiple of 8.
    """

    norm: Norm = Norm.BATCH
    width: int = count_between(4, 512, 32)

    def __post_init__(self) -> None:
        NetworkOptions.__post_init__(self)
        check_group_width(self.norm, self.width)


@dataclass(frozen=True, slots=True)
class TimmOptions(NetworkOptions):
    """Options of all networks of timm.

    Attributes:
        drop_path: the share of residual branches that training skips (stochastic depth).
    """

    drop_path: float = share(0.0)


@dataclass(frozen=True, slots=True)
class MonaiOptions(NetworkOptions):
    """Options of MONAI's DenseNet and squeeze-and-excitation networks.

    Attributes:
        norm: normalisation of the layers, ``group`` or ``batch``.
    """

    norm: Norm = Norm.BATCH


class Shortcut(StrEnum):
    """How a residual network changes the number of channels beside a block."""

    A = "a"
    """By zeros."""
    B = "b"
    """By a convolution."""


@dataclass(frozen=True, slots=True)
class MonaiResNetOptions(NetworkOptions):
    """Options of MONAI's residual networks.

    Attributes:
        norm: normalisation of the layers, ``group`` or ``batch``.
        width: channels of the first layer, which determine all others; for ``group`` a multiple of 8.
        stem_size: side of the first convolution's kernel.
        stem_stride: stride of the first convolution.
        stem_pool: whether a pooling of stride 2 follows the first convolution.
        shortcut: how a block's shortcut changes channels: ``a`` by zeros, ``b`` by a convolution.
        bias_downsample: whether the convolution of a shortcut has a bias.
    """

    norm: Norm = Norm.BATCH
    width: int = count_between(4, 512, 64)
    stem_size: int = count_between(1, 15, 7)
    stem_stride: int = count_between(1, 4, 2)
    stem_pool: bool = True
    shortcut: Shortcut = Shortcut.B
    bias_downsample: bool = True

    def __post_init__(self) -> None:
        NetworkOptions.__post_init__(self)
        check_group_width(self.norm, self.width)


class EfficientNetVariant(StrEnum):
    """Size of an EfficientNet."""

    B0 = "b0"
    B1 = "b1"
    B2 = "b2"
    B3 = "b3"
    B4 = "b4"
    B5 = "b5"
    B6 = "b6"
    B7 = "b7"


@dataclass(frozen=True, slots=True)
class MonaiEfficientNetOptions(NetworkOptions):
    """Options of MONAI's EfficientNet.

    Attributes:
        norm: normalisation of the layers, ``group`` or ``batch``.
        variant: the size, from ``b0`` to ``b7``.
    """

    norm: Norm = Norm.BATCH
    variant: EfficientNetVariant = EfficientNetVariant.B0


@dataclass(frozen=True, slots=True)
class MonaiViTOptions(NetworkOptions):
    """Options of MONAI's vision transformer.

    Attributes:
        patch: side of a patch; the sides of the input are multiples of it.
        embedding: numbers of a token; a multiple of the heads.
        depth: number of blocks.
        heads: attention heads of a block.
    """

    patch: int = count_between(1, 64, 16)
    embedding: int = count_between(12, 4096, 768)
    depth: int = count_between(1, 64, 12)
    heads: int = count_between(1, 64, 12)

    def __post_init__(self) -> None:
        NetworkOptions.__post_init__(self)
        if self.embedding % self.heads:
            raise InputError(
                f"network.options.embedding: expected a multiple of {self.heads} heads, found {self.embedding}"
            )


@dataclass(frozen=True, slots=True)
class MonaiSwinOptions(NetworkOptions):
    """Options of MONAI's Swin transformer, the encoder of its Swin UNETR.

    Attributes:
        patch: side of a patch.
        embedding: numbers of a token at the finest level; a multiple of 12.
        window: patches of a window's side.
    """

    patch: int = count_between(1, 64, 2)
    embedding: int = count_between(12, 4096, 48)
    window: int = count_between(1, 64, 7)

    def __post_init__(self) -> None:
        NetworkOptions.__post_init__(self)
        if self.embedding % SWIN_MULTIPLE:
            raise InputError(
                f"network.options.embedding: expected a multiple of {SWIN_MULTIPLE}, found {self.embedding}"
            )


SWIN_MULTIPLE = 12
"""The embedding of a Swin transformer is a multiple of this: its levels have 3, 6, 12 and 24 heads."""
TIMM_PREFIX, MONAI_PREFIX = "timm/", "monai/"
VISION_TRANSFORMER, SWIN_TRANSFORMER = "monai/ViT", "monai/SwinTransformer"
OWN_NETWORKS: Mapping[str, type[NetworkOptions]] = {"SmallCNN": OwnNetworkOptions, "ResNet18": OwnNetworkOptions}
MONAI_NETWORKS: Mapping[str, type[NetworkOptions]] = {
    **{f"{MONAI_PREFIX}resnet{depth}": MonaiResNetOptions for depth in (10, 18, 34, 50, 101, 152, 200)},
    **{f"{MONAI_PREFIX}DenseNet{depth}": MonaiOptions for depth in (121, 169, 201, 264)},
    **{f"{MONAI_PREFIX}SEResNet{depth}": MonaiOptions for depth in (50, 101, 152)},
    **{f"{MONAI_PREFIX}SEResNext{depth}": MonaiOptions for depth in (50, 101)},
    f"{MONAI_PREFIX}SENet154": MonaiOptions,
    f"{MONAI_PREFIX}EfficientNetBN": MonaiEfficientNetOptions,
    VISION_TRANSFORMER: MonaiViTOptions,
    SWIN_TRANSFORMER: MonaiSwinOptions,
}


def check_group_width(norm: Norm, width: int) -> None:
    """Refuses a width that group normalisation cannot split.

    Raises:
        InputError: the width is not a multiple of the groups.
    """
    if norm is Norm.GROUP and width % NORM_GROUPS:
        raise InputError(
            f"network.options.width: expected a multiple of {NORM_GROUPS} for the norm group, found {width}"
        )


def network_options(network_type: str, options: Mapping[str, object]) -> Any:
    """Returns the options of a type of network, with the defaults of those that are left out.

    Raises:
        InputError: an unknown type or option, or a value that the option cannot have.
    """
    return decode(options_class(network_type), dict(options), "network.options")


def options_class(network_type: str) -> type[NetworkOptions]:
    """Returns the class of the options of a type of network.

    Raises:
        InputError: there is no such type.
    """
    if network_type.startswith(TIMM_PREFIX):
        return TimmOptions
    networks = {**OWN_NETWORKS, **MONAI_NETWORKS}
    if network_type not in networks:
        raise InputError(
            f"network.type: expected one of {', '.join(networks)}, or timm/<model>, found {network_type!r}"
        )
    return networks[network_type]
