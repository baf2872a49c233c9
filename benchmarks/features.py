"""Features of frozen images: ours beside the bare forward pass of the same network, in one run.

``python -m benchmarks features``.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from anamnesis.methods.features.frozen_features import EncoderFeatures
from anamnesis.networks import Classifier
from anamnesis.networks.fast_inference import fold_batch_norms
from anamnesis.records import NetworkSettings
from anamnesis.training.split_arrays.rows import batches_of
from benchmarks.timing import side_by_side

NETWORK_SPEC = NetworkSettings("timm/tf_efficientnet_lite0", channels=3, size=(224, 224))
IMAGES, BATCH_SIZE, TURNS = 64, 32, 5
BARE = "bare forward, batches of 32"


def run() -> list[dict[str, object]]:
    """Returns a row for each way: images a second, over the bare forward pass, and the largest difference to it."""
    torch.set_num_threads(1)
    images = torch.rand(IMAGES, 3, *NETWORK_SPEC.size, generator=torch.Generator().manual_seed(0))
    stored_images = (images * 255).to(torch.uint8)
    images = stored_images.float() / 255
    network = Classifier(NETWORK_SPEC, seed=0)
    with torch.no_grad():  # statistics as after some training
        network.train()(images[:BATCH_SIZE])
    plain = copy.deepcopy(network.backbone).eval()
    channels_last = copy.deepcopy(plain).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folded, extractor = fold_batch_norms(plain, images[:1]), EncoderFeatures(network)
    extractor.eval()

    def ours() -> Tensor:
        maps = (extractor.feature_maps(batch.float() / 255) for batch in batches_of(stored_images, BATCH_SIZE))
        return torch.cat([part.mean((2, 3)) for part in maps])

    ways: dict[str, Callable[[], Tensor]] = {
        BARE: lambda: _forward(plain, images, BATCH_SIZE),
        "channels last": lambda: _forward(channels_last, images, BATCH_SIZE),
        "channels last, folded norms": lambda: _forward(folded, images, BATCH_SIZE),
        "ours, from stored bytes": ours,
    }
    expected_features = ways[BARE]()
    seconds = side_by_side(ways, TURNS)
    return [
        {
            "way": name,
            "images a second": IMAGES / seconds[name],
            "over the bare forward": seconds[BARE] / seconds[name],
            "largest difference": float((way() - expected_features).abs().max()),
            "largest feature": float(expected_features.abs().max()),
        }
        for name, way in ways.items()
    ]


@torch.no_grad()
def _forward(network: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    layout = (
        torch.channels_last
        if next(network.parameters()).is_contiguous(memory_format=torch.channels_last)
        else torch.contiguous_format
    )
    return torch.cat(
        [network(batch.contiguous(memory_format=layout)).mean((2, 3)) for batch in torch.split(images, batch_size)]
    )
