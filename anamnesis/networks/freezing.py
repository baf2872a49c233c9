"""Which parameters of a network never learn."""

import torch

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.modes import evaluation_mode
from anamnesis.networks.shapes import copy_to_meta
from anamnesis.records import InputError, NetworkSettings


def freeze_as_set(backbone: Backbone, settings: NetworkSettings) -> None:
    """Freezes what ``frozen`` and ``batch_statistics`` of the settings name.

    Raises:
        InputError: the network has fewer stages.
    """
    backbone.freeze(_frozen_parameters(backbone, settings), batch_statistics=settings.batch_statistics == "frozen")


def _frozen_parameters(backbone: Backbone, settings: NetworkSettings) -> frozenset[str]:
    if settings.frozen == "nothing":
        return frozenset()
    if settings.frozen == "all":
        return frozenset(name for name, _ in backbone.named_parameters())
    stage_count = int(settings.frozen.rpartition("-")[2])
    if stage_count > len(backbone.levels):
        raise InputError(
            f"network.frozen: {settings.type} has the stages 1-{len(backbone.levels)}, found {settings.frozen!r}; name "
            "fewer stages, or write all"
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
