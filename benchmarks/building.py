"""What building a network costs, its libraries imported before: initial weights, and the strides of its levels."""

from dataclasses import replace
from itertools import product

from anamnesis.networks import build_backbone
from anamnesis.records import NetworkSettings
from benchmarks.timing import side_by_side

_NETWORKS = (
    NetworkSettings("timm/tf_efficientnet_lite0", channels=3, size=(224, 224)),
    NetworkSettings("timm/densenet121", channels=3, size=(224, 224)),
    NetworkSettings("timm/vit_base_patch16_224", channels=3, size=(224, 224)),
    NetworkSettings("monai/resnet18", channels=1, size=(64, 128, 128)),
)


def run() -> list[dict[str, object]]:
    """Returns one row per network, with nothing frozen and with two frozen stages."""
    variants = {
        f"{network.type}, frozen: {frozen}": replace(network, frozen=frozen)
        for network, frozen in product(_NETWORKS, ("nothing", "stages 1-2"))
    }
    seconds = side_by_side(
        {name: lambda settings=settings: build_backbone(settings, seed=0) for name, settings in variants.items()}
    )
    return [{"network": name, "seconds": value} for name, value in seconds.items()]
