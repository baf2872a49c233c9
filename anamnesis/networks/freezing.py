"""Which parameters of a network never learn."""

import torch
from torch import nn

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.meta_copy import copy_to_meta
from anamnesis.networks.modes import evaluation_mode
from anamnesis.records import InputError, NetworkSettings


def freeze_as_set(backbone: Backbone, settings: NetworkSettings) -> None:
    """Freezes what ``frozen`` and ``batch_statistics`` of the settings name.

    Raises:
        InputError: the network has fewer stages.
    """
    backbone.freeze(
        _frozen_parameters(backbone, settings),
        (settings.channels, *settings.size),
        batch_statistics=settings.batch_statistics == "frozen",
    )


def _frozen_parameters(backbone: Backbone, settings: NetworkSettings) -> frozenset[str]:
    if settings.frozen == "nothing":
        return frozenset()
    if settings.frozen == "all":
        return frozenset(name for name, _ in backbone.named_parameters())
    stage_count = int(settings.frozen.rpartition("-")[2])
    if stage_count > len(backbone.levels):
        raise InputError(
            f"network.frozen: {settings.type} has the stages 1-{len(backbone.levels)}, found {settings.frozen!r}; name "
            "fewer stages, or write All"
        )
    return parameters_of_stages(backbone, settings, stage_count)


def parameters_of_stages(backbone: Backbone, settings: NetworkSettings, stage_count: int) -> frozenset[str]:
    """Returns the names of the parameters that the feature level ``stage_count`` depends on, whatever the library.

    A gradient of the level shows them, so no library has to say which of its modules make a stage.
    """
    backbone = copy_to_meta(backbone)
    names, parameters = zip(*backbone.named_parameters(), strict=True)
    images = torch.zeros(1, settings.channels, *settings.size, device="meta")
    with evaluation_mode(backbone), torch.enable_grad():
        (maps,) = backbone.level_maps(backbone.normalise(images), (stage_count - 1,))
        gradients = torch.autograd.grad(maps.sum(), parameters, allow_unused=True)
    return frozenset(name for name, gradient in zip(names, gradients, strict=True) if gradient is not None)


def find_learnable(network: nn.Module) -> dict[str, nn.Parameter]:
    """Returns all parameters of a network by name, except the frozen ones of the backbones in it."""
    frozen = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in network.named_modules()
        if isinstance(module, Backbone)
        for name in module.frozen_parameters
    }
    return {name: parameter for name, parameter in network.named_parameters() if name not in frozen}
