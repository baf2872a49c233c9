"""The one face of every network: feature levels with their strides, normalisation of the input, and what is frozen."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anamnesis.networks.frozen_part import KnownParts
from anamnesis.records import NetworkSettings


@dataclass(frozen=True, slots=True)
class FeatureLevel:
    """Feature maps at one depth of a network.

    Attributes:
        name: as the library calls them.
        channels: of the maps.
        stride: pixels of the input for each cell, along every side.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True, slots=True)
class Normalisation:
    """The range of the input that a network expects, for images in [0, 1]: it reads (images - mean) / std.

    Attributes:
        mean: of each channel, or one number for all. For images in [-1, 1] 0.5, for images in [0, 255] 0.
        std: the standard deviation, likewise. For images in [-1, 1] 0.5, for images in [0, 255] 1/255.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)


class Backbone(nn.Module, ABC):
    """A network without a head. Images are in [0, 1]; the backbone normalises them itself.

    Attributes:
        levels: the feature levels, fine to coarse; head and saliency maps read the last one.
        spatial_dims: 2 for images [N, C, H, W], 3 for volumes [N, C, D, H, W].
        frozen_parameters: names of the parameters that never learn.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, levels: tuple[FeatureLevel, ...], spatial_dims: int = 2, normalisation: Normalisation | None = None
    ) -> None:
        super().__init__()
        self.levels, self.spatial_dims = levels, spatial_dims
        self.frozen_parameters: frozenset[str] = frozenset()
        self._known_parts = KnownParts()
        self._frozen_modules: tuple[str, ...] = ()
        self.use_normalisation(normalisation or Normalisation())

    @property
    def library_module(self) -> nn.Module:
        """The module of the library, with the library's own names; weights from files are loaded into it."""
        return self

    @property
    def width_out(self) -> int:
        """Channels of the last level, and so of the pooled features."""
        return self.levels[-1].channels

    @abstractmethod
    def level_maps(self, images: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Returns the maps of the levels with these numbers, in ascending order, of images already normalised."""

    def feature_levels(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps images [N, C, *sides] in [0, 1] to [N, F, *cells] for each of ``levels``."""
        return self.level_maps(self.normalise(images), tuple(range(len(self.levels))))

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [N, C, *sides] in [0, 1] to the last level [N, ``width_out``, *cells]."""
        return self.last_level(images) if images.requires_grad else self.maps_from(self.frozen_maps(images))

    def last_level(self, images: Tensor) -> Tensor:
        """Maps images [N, C, *sides] in [0, 1] to the last level, differentiable in the images."""
        return self.level_maps(self.normalise(images), (len(self.levels) - 1,))[0]

    def frozen_maps(self, images: Tensor) -> Tensor:
        """Maps images [N, C, *sides] in [0, 1] to what ``maps_from`` reads, without gradients.

        These are maps [N, F, ...] of the layers before the first that learns; where nothing is frozen, or a network's
        layers cannot be separated, the images themselves.
        """
        parts = self._known_parts.of(self)
        return parts.frozen(images)[0] if parts else images

    def maps_from(self, frozen_maps: Tensor) -> Tensor:
        """Maps what ``frozen_maps`` returned to the last level [N, ``width_out``, *cells]."""
        parts = self._known_parts.of(self)
        return parts.learning(frozen_maps) if parts else self.last_level(frozen_maps)

    def frozen_state(self) -> dict[str, Tensor]:
        """Returns the tensors of the layers behind ``frozen_maps`` by name; nothing where these are the images."""
        parts = self._known_parts.of(self)
        return parts.frozen.network.state_dict() if parts else {}

    def pool(self, maps: Tensor) -> Tensor:
        """Averages maps [N, F, *cells] over all cells: [N, F], in float32."""
        return maps.float().mean(tuple(range(2, maps.dim())))

    def normalise(self, images: Tensor) -> Tensor:
        """Brings images [N, C, *sides] from [0, 1] to the range that the network expects."""
        return (images - self.mean) / self.std

    def use_normalisation(self, normalisation: Normalisation) -> None:
        """Replaces mean and standard deviation; they are settings, and no part of the state."""
        shape = (1, -1, *(1,) * self.spatial_dims)
        device = self.mean.device if hasattr(self, "mean") else None
        for name, values in (("mean", normalisation.mean), ("std", normalisation.std)):
            self.register_buffer(name, torch.tensor(values, device=device).view(shape), persistent=False)

    def freeze(
        self, parameters: frozenset[str], image_shape: tuple[int, ...] = (), *, batch_statistics: bool = False
    ) -> None:
        """Freezes parameters for good, by name, and with them the statistics and dropout of their modules.

        Args:
            parameters: names as in ``named_parameters``.
            image_shape: [C, *sides] of the images, to find the frozen part; without it there is none.
            batch_statistics: whether all batch normalisations keep their statistics.
        """
        self.frozen_parameters, self._known_parts = parameters, KnownParts(image_shape)
        self._frozen_modules = tuple(
            name
            for name, module in self.named_modules()
            if name and (self._is_frozen(name, module) or (batch_statistics and isinstance(module, _BatchNorm)))
        )
        self.train(self.training)

    def _is_frozen(self, name: str, module: nn.Module) -> bool:
        names = [f"{name}.{parameter}" for parameter, _ in module.named_parameters()]
        return bool(names) and self.frozen_parameters.issuperset(names)

    def learnable_parameters(self) -> tuple[nn.Parameter, ...]:
        """Returns the parameters that may learn."""
        return tuple(value for name, value in self.named_parameters() if name not in self.frozen_parameters)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; frozen modules stay in evaluation mode, so that their buffers do not change."""
        super().train(mode)
        for name in self._frozen_modules:
            self.get_submodule(name).eval()
        return self


class Levels(nn.Module):
    """Some levels of a backbone as a plain module, which computes all its layers at every call.

    Attributes:
        backbone: whose levels are computed.
        count: how many of its last levels.
    """

    def __init__(self, backbone: Backbone, count: int = 1) -> None:
        super().__init__()
        self.backbone, self.count = backbone, count

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps images [N, C, *sides] in [0, 1] to the last ``count`` levels, fine to coarse."""
        return last_levels(self.backbone, self.count, images)


def last_levels(backbone: Backbone, count: int, images: Tensor) -> tuple[Tensor, ...]:
    """Maps images [N, C, *sides] in [0, 1] to the last ``count`` levels, fine to coarse."""
    if count == 1:
        return (backbone.last_level(images),)
    total = len(backbone.levels)
    return backbone.level_maps(backbone.normalise(images), tuple(range(total - count, total)))


def normalisation_of(settings: NetworkSettings, default: Normalisation) -> Normalisation:
    """Returns the normalisation that the settings name, or else the network's own."""
    return Normalisation(settings.mean, settings.std) if settings.mean else default
