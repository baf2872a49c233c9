"""Networks: shapes, seeds, and errors that name the field."""

import pytest
import torch

from anamnesis.networks import Classifier, build_backbone
from anamnesis.records import InputError, NetworkSettings


@pytest.mark.parametrize("name", ["SmallCNN", "ResNet18"])
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_maps_keep_an_eighth_of_the_resolution(name: str, norm: str) -> None:
    network = Classifier(
        NetworkSettings(name, channels=3, size=(64, 64), options={"norm": norm, "width": 16}), seed=0, classes=4
    )
    images = torch.rand(2, 3, 64, 64)
    maps = network.features(images)
    assert maps.shape[2:] == (8, 8)
    assert network(images).shape == (2, 4)
    torch.testing.assert_close(network.classify(maps), network(images))


def test_pooling_before_the_rectifier_changes_no_bit_of_values_and_gradients() -> None:
    backbone = build_backbone(NetworkSettings(options={"width": 8}), seed=0)
    images = torch.rand(4, 1, 32, 32)

    def usual_order(maps: torch.Tensor) -> list[torch.Tensor]:
        levels = []
        for block in range(4):
            convolution, norm = backbone.blocks[4 * block], backbone.blocks[4 * block + 1]
            levels.append(norm(convolution(maps)).relu())
            maps = torch.nn.functional.max_pool2d(levels[-1], 2)
        return levels

    gradients = []
    for levels in (usual_order(backbone.normalise(images)), backbone.feature_levels(images)):
        gradients.append([*levels, *torch.autograd.grad(levels[-1].square().sum(), list(backbone.parameters()))])
    assert all(torch.equal(usual, ours) for usual, ours in zip(*gradients, strict=True))
    assert torch.equal(backbone(images), levels[-1])


def test_equal_seeds_give_equal_weights_and_leave_the_global_stream_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, same, different = (
        build_backbone(NetworkSettings(options={"width": 8, "norm": "group"}), seed) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(1), expected)
    pairs = list(zip(first.parameters(), same.parameters(), different.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            NetworkSettings(type="ResNet18", size=(48, 48), options={"width": 8, "norm": "group"}),
            r"network\.options\.width: expected 16 or more for ResNet18",
        ),
        (NetworkSettings(type="VGG"), r"network\.type: expected one of SmallCNN, ResNet18.*, found 'VGG'"),
        (NetworkSettings(options={"norm": "layer"}), r"network\.options\.norm: expected one of group, batch"),
        (
            NetworkSettings(options={"width": 12, "norm": "group"}),
            r"network\.options\.width: expected a multiple of 8 .*, found 12",
        ),
        (NetworkSettings(size=(8, 64)), r"network\.input\.size: expected two sides of 16 pixels or more"),
    ],
)
def test_what_cannot_be_built_is_named(spec: NetworkSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_backbone(spec, 0)


@pytest.mark.parametrize("name", ["SmallCNN", "ResNet18"])
def test_group_normalisation_is_in_every_layer(name: str) -> None:
    """MONAI's ResNet keeps batch normalisation in its blocks, whatever its ``norm`` says."""
    backbone = build_backbone(NetworkSettings(name, options={"width": 16, "norm": "group"}), seed=0)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    assert any(isinstance(module, torch.nn.GroupNorm) for module in backbone.modules())
