"""From the settings of a network to its backbone."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from anamnesis.networks.backbone import Backbone
from anamnesis.networks.freezing import freeze_as_set
from anamnesis.networks.own_networks import ResNet18, SmallCNN
from anamnesis.records import NetworkSettings
from anamnesis.records.network_options import MONAI_NETWORKS, TIMM_PREFIX, network_options

_NetworkClass = Callable[[NetworkSettings, Any], Backbone]
_OWN_NETWORKS: Mapping[str, _NetworkClass] = {"SmallCNN": SmallCNN, "ResNet18": ResNet18}


def build_backbone(settings: NetworkSettings, seed: int) -> Backbone:
    """Returns a backbone whose initial weights depend on ``settings`` and ``seed`` alone.

    Raises:
        InputError: an unknown type, an option that the type does not have, or a size that it cannot take.
    """
    options = network_options(settings.type, settings.options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = _network_class(settings.type)(settings, options)
        freeze_as_set(backbone, settings)
    return backbone


def _network_class(network_type: str) -> _NetworkClass:
    """Returns the class of a type that exists; libraries are imported when they are needed."""
    if network_type.startswith(TIMM_PREFIX):
        from anamnesis.networks.timm_network import TimmNetwork

        return TimmNetwork
    if network_type in MONAI_NETWORKS:
        from anamnesis.networks.monai_network import MonaiNetwork

        return MonaiNetwork
    return _OWN_NETWORKS[network_type]
