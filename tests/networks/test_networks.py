"""Networks: shapes, seeds, and errors that name the field."""

import pytest
import torch

from anamnesis.networks import Classifier, build_backbone
from anamnesis.records import InputError, NetworkSettings


@pytest.mark.parametrize("name", ["SmallCNN", "ResNet18"])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_maps_keep_an_eighth_of_the_resolution(name: str, norm: str) -> None:
    network = Classifier(NetworkSettings(name, channels=3, size=(64, 64), norm=norm, width=16), seed=0, classes=4)
    images = torch.rand(2, 3, 64, 64)
    maps = network.features(images)
    assert maps.shape[2:] == (8, 8)
    assert network(images).shape == (2, 4)
    torch.testing.assert_close(network.classify(maps), network(images))


def test_equal_seeds_give_equal_weights_and_leave_the_global_stream_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, same, different = (build_backbone(NetworkSettings(width=8), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    pairs = list(zip(first.parameters(), same.parameters(), different.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (NetworkSettings(name="ResNet18", width=8, size=(48, 48)), r"network\.width: expected 16 or more for ResNet18"),
        (NetworkSettings(name="VGG"), r"network\.name: expected one of SmallCNN, ResNet18.*, found 'VGG'"),
        (NetworkSettings(norm="layer"), r"network\.norm"),
        (NetworkSettings(channels=2), r"network\.channels: expected 1 or 3"),
        (NetworkSettings(width=12), r"network\.width: expected a multiple of 8 .*, found 12"),
        (NetworkSettings(size=(8, 64)), r"network\.size: expected two sides of 16 pixels or more"),
    ],
)
def test_what_cannot_be_built_is_named(spec: NetworkSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_backbone(spec, 0)


@pytest.mark.parametrize("name", ["SmallCNN", "ResNet18"])
def test_group_normalisation_is_in_every_layer(name: str) -> None:
    """MONAI's ResNet keeps batch normalisation in its blocks, whatever its ``norm`` says."""
    backbone = build_backbone(NetworkSettings(name, width=16, norm="group"), seed=0)
    assert not list(backbone.buffers())
    assert any(isinstance(module, torch.nn.GroupNorm) for module in backbone.modules())
