"""Networks of timm as backbones: architectures only, never a download."""

import difflib
import os
from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.networks.backbone import Backbone, Normalisation, normalisation_of
from anamnesis.networks.shapes import measure_levels
from anamnesis.records import InputError, NetworkSettings
from anamnesis.records.network_options import TIMM_PREFIX, TimmOptions, network_options

_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_REFERENCE_SIDE = 1024
_LEVELS_OF_ONE_STRIDE = 4


class TimmNetwork(Backbone):
    """A network of timm, by its name there.

    Its levels are timm's own (``feature_info``); of a vision transformer the token grids after each quarter of the
    blocks, without class and register tokens. The last level is the output of ``forward_features``, which timm's own
    classifiers read: after the final normalisation, or after a last convolution.
    """

    module: nn.Module

    def __init__(self, settings: NetworkSettings, options: TimmOptions) -> None:
        if len(settings.size) != 2:
            raise InputError(f"network.input.size: expected two sides for {settings.type}, found {list(settings.size)}")
        timm, name = _import_timm(), settings.type.removeprefix(TIMM_PREFIX)
        model = _create_model(timm, name, settings, options, num_classes=0, global_pool="")
        indices, level_names = _chosen_levels(model, settings)

        axes: list[int] = []

        def maps_of(network: Any, images: Tensor) -> tuple[Tensor, ...]:
            features, maps = network.forward_intermediates(images, indices=indices)
            axes.append(features.dim())
            return _all_maps(network, features, maps)

        size: Sequence[int] = settings.size
        reference_size = size if _has_fixed_size(timm, name) else [max(_REFERENCE_SIDE, *size)] * 2
        levels, cells = measure_levels(
            model, maps_of, names=level_names, settings=settings, reference_size=reference_size
        )
        super().__init__(levels, 2, normalisation_of(settings, _normalisation(model, settings.channels)))
        self.module, self._indices, self._cells = model, indices, cells
        self._has_tokens = axes[-1] == 3

    @property
    def library_module(self) -> nn.Module:
        """The model of timm, without its classifier."""
        return self.module

    def level_maps(self, images: Tensor, numbers: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Maps normalised [N, C, H, W] to the maps [N, F, h, w] of the levels with these numbers."""
        model: Any = self.module
        if numbers == (len(self.levels) - 1,):
            return (_to_grid(model, model.forward_features(images), self._cells, has_tokens=self._has_tokens),)
        maps = _all_maps(model, *model.forward_intermediates(images, indices=self._indices))
        return tuple(maps[number] for number in numbers)


def _import_timm() -> Any:
    """Imports timm with downloads switched off.

    Raises:
        InputError: timm is not installed.
    """
    os.environ.update(_OFFLINE)
    try:
        import timm
    except ImportError as error:
        raise InputError(
            "network.type: networks of timm need the extra timm; run pip install 'anamnesis[timm]', or choose an own "
            f"network or one of MONAI ({error})"
        ) from error
    return timm


def timm_classifier(settings: NetworkSettings, classes: int) -> Any:
    """Returns timm's own classifier of a network, with timm's pooling and layers before the last one."""
    options, name = network_options(settings.type, settings.options), settings.type.removeprefix(TIMM_PREFIX)
    with torch.random.fork_rng(devices=[]):
        return _create_model(_import_timm(), name, settings, options, num_classes=classes).eval()


def _create_model(timm: Any, name: str, settings: NetworkSettings, options: TimmOptions, **top: object) -> Any:
    if not timm.is_model(name):
        similar = difflib.get_close_matches(name, timm.list_models(), 5, 0)
        raise InputError(
            f"network.type: timm {timm.__version__} has no model {name!r}; the nearest names are {', '.join(similar)}"
        )
    arguments: dict[str, object] = {"in_chans": settings.channels, **top}
    if options.drop_path:
        arguments["drop_path_rate"] = options.drop_path
    if _has_fixed_size(timm, name):
        arguments["img_size"] = settings.size
    try:
        model = timm.create_model(name, pretrained=False, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise InputError(
            f"network: timm cannot build {name} with {arguments}: {' '.join(str(error).split())[:200]}; correct "
            "network.input.size and network.options"
        ) from error
    if not hasattr(model, "forward_intermediates"):
        raise InputError(f"network.type: {settings.type} gives no feature maps; choose a network with feature maps")
    _check_patches(timm, model, settings)
    for module in model.modules():
        if hasattr(module, "get_attention_biases"):  # it keeps those of earlier weights, without a gradient
            module.get_attention_biases = MethodType(_current_attention_biases, module)
    return model


def _current_attention_biases(attention: Any, device: torch.device) -> Tensor:
    """Returns the biases [heads, N, M] of a layer of timm by its current weights; the device is that of these."""
    biases: Tensor = attention.attention_biases[:, attention.attention_bias_idxs]
    return biases


def _check_patches(timm: Any, model: Any, settings: NetworkSettings) -> None:
    """Checks that patches cover the whole image: timm would silently leave out the pixels after the last one."""
    embedding = next((module for module in model.modules() if isinstance(module, timm.layers.PatchEmbed)), None)
    if embedding is None or embedding.dynamic_img_pad:
        return
    if any(side % patch for side, patch in zip(settings.size, embedding.patch_size, strict=True)):
        raise InputError(
            f"network.input.size: expected multiples of the patch of {list(embedding.patch_size)} pixels for "
            f"{settings.type}, found {list(settings.size)}; change the size"
        )


def _has_fixed_size(timm: Any, name: str) -> bool:
    settings = timm.get_pretrained_cfg(name)
    return bool(settings and settings.fixed_input_size)


def _chosen_levels(model: Any, settings: NetworkSettings) -> tuple[list[int], list[str]]:
    """Returns the indices of the levels, and their names; of many levels of one stride, each quarter's last."""
    if not getattr(model, "feature_info", None):
        raise InputError(f"network.type: {settings.type} names no feature levels; choose a network with feature maps")
    all_names = [str(level["module"]) for level in model.feature_info]
    strides, count = {level["reduction"] for level in model.feature_info}, len(all_names)
    if len(strides) > 1 or count <= _LEVELS_OF_ONE_STRIDE:
        return list(range(count)), all_names
    quarters = [count * (quarter + 1) // _LEVELS_OF_ONE_STRIDE - 1 for quarter in range(_LEVELS_OF_ONE_STRIDE)]
    return quarters, [all_names[index] for index in quarters]


def _all_maps(model: Any, features: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Returns the maps of all levels; the output of the network replaces the last one where it has its shape."""
    grid = _to_grid(model, features, maps[-1].shape[2:], has_tokens=features.dim() == 3)
    return (*maps[:-1], grid) if grid.shape == maps[-1].shape else (*maps, grid)


def _to_grid(model: Any, features: Tensor, cells: Sequence[int], *, has_tokens: bool) -> Tensor:
    """Returns the output of a network as maps [N, F, h, w]: tokens become a grid, without class tokens."""
    if has_tokens:
        tokens = features[:, getattr(model, "num_prefix_tokens", 0) :]
        grid: Tensor = tokens.transpose(1, 2).unflatten(2, cells)  # type: ignore[no-untyped-call]
        return grid
    if getattr(model, "output_fmt", "NCHW") == "NHWC":
        return features.permute(0, 3, 1, 2)
    return features


def _normalisation(model: Any, channels: int) -> Normalisation:
    """Returns the mean and standard deviation of the model's own pictures; of grey images, their means over RGB."""
    settings = getattr(model, "pretrained_cfg", {})
    mean, std = settings.get("mean") or (0.5,), settings.get("std") or (0.25,)
    if channels == 1:
        return Normalisation((sum(mean) / len(mean),), (sum(std) / len(std),))
    return Normalisation(tuple(mean), tuple(std))
