"""Networks of timm: levels and strides as declared, no download, and errors in plain words."""

import builtins
import copy
import os
from typing import Any

import pytest
import torch

from anamnesis.networks import build_backbone
from anamnesis.records import InputError, NetworkSettings

pytest.importorskip("timm", reason="needs the extra timm")


@pytest.mark.parametrize(
    ("model", "size", "channels"),
    [
        ("test_convnext", (64, 64), 1),
        ("test_efficientnet", (48, 33), 3),  # sides need not be multiples of the stride
        ("test_vit", (32, 48), 1),  # class token
        ("test_resnet", (32, 32), 1),
    ],
)
def test_levels_have_the_declared_shapes(model: str, size: tuple[int, int], channels: int) -> None:
    backbone = build_backbone(NetworkSettings(f"timm/{model}", channels, size), seed=0).eval()
    images = torch.rand(2, channels, *size)
    with torch.no_grad():
        maps, last = backbone.feature_levels(images), backbone(images)
    assert len(maps) == len(backbone.levels) > 3
    for level, level_maps in zip(backbone.levels, maps, strict=True):
        assert level_maps.shape == (2, level.channels, *(-(-side // level.stride) for side in size)), level
    torch.testing.assert_close(last, maps[-1])
    assert backbone.pool(last).shape == (2, backbone.width_out)


def test_the_last_level_is_what_the_models_own_classifier_reads() -> None:
    import timm

    backbone = build_backbone(NetworkSettings("timm/test_efficientnet", 3, (32, 32)), seed=0).eval()
    original = timm.create_model("test_efficientnet", pretrained=False, num_classes=0).eval()
    original.load_state_dict(backbone.library_module.state_dict())  # the library's own names
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(backbone.pool(backbone(images)), original(backbone.normalise(images)))


def test_attention_follows_the_current_weights_and_has_gradients_after_an_answer() -> None:
    settings = NetworkSettings("timm/levit_128s", 3, (224, 224))
    backbone, other, images = *(build_backbone(settings, seed).eval() for seed in (0, 1)), torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        for network in (backbone, other):
            for name, value in network.named_parameters():
                if name.endswith("attention_biases"):
                    value.normal_(std=float(1 + (network is other)))
        expected = other(images)
        backbone(images)
    backbone.load_state_dict(other.state_dict())
    copied = copy.deepcopy(backbone)
    for network in (backbone, copied):
        torch.testing.assert_close(network(images), expected)
        network(images).sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_downloads_are_switched_off() -> None:
    build_backbone(NetworkSettings("timm/test_vit", size=(32, 32)), seed=0)
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (NetworkSettings("timm/resnet19"), r"network\.type: timm .* has no model 'resnet19'; .* resnet"),
        (
            NetworkSettings("timm/test_vit", size=(40, 40)),
            r"network\.input\.size: expected multiples of the patch of \[16, 16\] pixels for timm/test_vit, found",
        ),
        (NetworkSettings("timm/test_vit", size=(32, 32, 32)), r"network\.input\.size: expected two sides"),
        (NetworkSettings("timm/test_vit", options={"width": 8}), r"network\.options: unknown field 'width'"),
        (
            NetworkSettings("timm/test_vit", size=(32, 32), options={"drop_path": 2.0}),
            r"options\.drop_path: expected a n",
        ),
    ],
)
def test_what_timm_cannot_build_is_named(settings: NetworkSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_backbone(settings, seed=0)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse_timm(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "timm":
            raise ImportError("No module named 'timm'")
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse_timm)
    with pytest.raises(InputError, match=r"need the extra timm; run pip install 'anamnesis\[timm\]'"):
        build_backbone(NetworkSettings("timm/test_vit", size=(32, 32)), seed=0)
    build_backbone(NetworkSettings(), seed=0)
