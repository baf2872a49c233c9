"""The frozen part of a backbone: both parts together are the network, and nothing that learns is in the first."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from anamnesis.networks import Backbone, FeatureLevel, build_backbone
from anamnesis.networks.frozen_part import split_backbone
from anamnesis.records import NetworkSettings

OWN = NetworkSettings(size=(16, 16), options={"width": 8, "norm": "batch"}, frozen="stages 1-2")
TIMM = [
    ("timm/tf_efficientnet_lite0", (32, 32)),
    ("timm/densenet121", (32, 32)),
    ("timm/vit_tiny_patch16_224", (224, 224)),
]
NETWORKS = [
    OWN,
    replace(OWN, type="ResNet18", options={"width": 16}),
    *(NetworkSettings(name, channels=3, size=size, frozen="stages 1-2") for name, size in TIMM),
    NetworkSettings("monai/resnet18", size=(32, 32, 32), frozen="stages 1-2"),
    NetworkSettings("monai/DenseNet121", size=(32, 32), frozen="stages 1-2"),
]


def build(settings: NetworkSettings) -> Backbone:
    if settings.type.startswith("timm/"):
        pytest.importorskip("timm", reason="needs the extra timm")
    return build_backbone(settings, seed=0).eval()


@pytest.mark.parametrize("settings", NETWORKS, ids=lambda settings: str(settings.type))
def test_both_parts_together_are_the_network(settings: NetworkSettings) -> None:
    backbone = build(settings)
    parts = split_backbone(backbone, (settings.channels, *settings.size))
    assert parts is not None
    images = torch.rand(3, settings.channels, *settings.size)
    frozen_maps, maps = backbone.frozen_maps(images), backbone.last_level(images)
    assert frozen_maps.shape != images.shape
    torch.testing.assert_close(backbone(images), maps, rtol=1e-3, atol=1e-4 * float(maps.detach().abs().max()))
    learnable = {name for name, _ in backbone.named_parameters()} - backbone.frozen_parameters
    assert {name for name, _ in parts.learning.named_parameters()} == learnable
    assert not set(backbone.frozen_state()) & learnable


def test_gradients_and_training_are_those_of_the_whole_network() -> None:
    settings = replace(OWN, batch_statistics="frozen")
    backbone = build(settings).train()
    images = torch.rand(4, 1, 16, 16)
    gradients = []
    for maps in (backbone(images), backbone.last_level(images)):
        parameters = backbone.learnable_parameters()
        gradients.append(torch.autograd.grad(maps.square().sum(), parameters))
    for split_gradient, gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(split_gradient, gradient, rtol=1e-3, atol=1e-5)
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(backbone(images).sum(), images)
    assert gradient.any()  # replayed images are inverted through the frozen part too


def test_new_weights_a_copy_and_another_device_dtype_are_noticed() -> None:
    backbone, images = build(OWN), torch.rand(2, 1, 16, 16)
    before = backbone(images)
    changed = copy.deepcopy(backbone)
    with torch.no_grad():
        next(iter(changed.parameters())).mul_(-1)
    assert torch.equal(backbone(images), before)
    torch.testing.assert_close(changed(images), changed.last_level(images), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(changed(images), before)
    double = backbone.double()
    assert double(images.double()).dtype == torch.float64
    torch.testing.assert_close(double(images.double()), before.double(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("frozen", ["nothing", "all"])
def test_a_network_that_learns_whole_or_not_at_all_has_one_part(frozen: str) -> None:
    backbone, images = build(replace(OWN, frozen=frozen)), torch.rand(2, 1, 16, 16)
    first = images if frozen == "nothing" else backbone(images)
    assert torch.equal(backbone.frozen_maps(images), first)
    assert bool(backbone.frozen_state()) is (frozen == "all")


class Odd(Backbone):
    """Two layers, and something between them that cannot be split."""

    def __init__(self, kind: str) -> None:
        super().__init__((FeatureLevel("first", 4, 1), FeatureLevel("second", 4, 1)))
        self.first, self.second, self.kind = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), kind
        self.scale, self.second_linear = nn.Parameter(torch.ones(1)), nn.Linear(4, 4)

    def level_maps(self, images: Any, numbers: tuple[int, ...]) -> Any:
        maps = self.first(images)
        if self.kind == "branch" and maps.sum() > 0:
            return (maps,)
        if self.kind == "two maps":
            return (self.second(maps) + self.second(functional.relu(self.first(images))),)
        if self.kind == "own tensor":
            return (self.second(maps) * self.scale,)
        if self.kind == "dropout":
            return (self.second(functional.dropout(maps, training=self.training)),)
        if self.kind == "ignored":
            functional.relu_(maps)
            return (self.second(maps),)
        if self.kind == "transposed":
            tokens = self.second_linear(maps.flatten(2).permute(2, 0, 1))
            return (tokens.permute(1, 2, 0).unflatten(2, (6, 6)),)
        return (self.second(functional.relu_(maps)),) if self.kind == "in place" else (self.second(maps),)


@pytest.mark.parametrize(
    "kind", ["branch", "two maps", "own tensor", "dropout", "plain", "in place", "ignored", "transposed"]
)
def test_what_cannot_be_split_stays_whole(kind: str) -> None:
    backbone = Odd(kind)
    backbone.freeze(frozenset({"first.weight", "first.bias"}), (1, 8, 8))
    parts = split_backbone(backbone, (1, 8, 8))
    assert (parts is not None) is (kind in ("plain", "in place"))  # the ReLU is frozen as well
    backbone.eval()
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(backbone(images), backbone.last_level(images))
