"""Networks of MONAI: levels and strides as declared, in 2-D and 3-D, and errors in plain words."""

import resource

import pytest
import torch

from anamnesis.networks import build_backbone
from anamnesis.records import InputError, NetworkSettings

TINY = {"patch": 8, "embedding": 24, "depth": 4, "heads": 2}


@pytest.mark.parametrize(
    ("network", "size", "options"),
    [
        ("resnet10", (32, 24), {"width": 8}),
        ("resnet10", (16, 16, 24), {"width": 8, "norm": "group", "stem_stride": 1, "stem_pool": False}),
        ("resnet50", (32, 32, 32), {"width": 4, "shortcut": "a"}),
        ("DenseNet121", (32, 32, 32), {}),
        ("DenseNet121", (33, 32), {"norm": "group"}),
        ("SEResNet50", (32, 32), {}),
        ("EfficientNetBN", (32, 32), {}),
        ("ViT", (32, 16), TINY),
        ("ViT", (16, 8, 24), TINY),
        ("SwinTransformer", (32, 32, 32), {"embedding": 12}),
        ("SwinTransformer", (32, 32), {"embedding": 12}),
    ],
)
def test_levels_have_the_declared_shapes(network: str, size: tuple[int, ...], options: dict[str, object]) -> None:
    backbone = build_backbone(NetworkSettings(f"monai/{network}", 1, size, options=options), seed=0).eval()
    images = torch.rand(2, 1, *size)
    with torch.no_grad():
        maps, last = backbone.feature_levels(images), backbone(images)
    assert len(maps) == len(backbone.levels) >= 4
    for level, level_maps in zip(backbone.levels, maps, strict=True):
        assert level_maps.shape[:2] == (2, level.channels)
        for side, cells in zip(size, level_maps.shape[2:], strict=True):
            assert abs(cells - side / level.stride) < 1 or cells == 1, level  # halvings round up or down
    assert torch.equal(last, maps[-1])
    assert backbone.spatial_dims == len(size)
    assert backbone.pool(last).shape == (2, backbone.width_out)
    has_batch_norm = any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in backbone.modules())
    assert has_batch_norm == (options.get("norm") != "group" and network not in ("ViT", "SwinTransformer"))


def test_equal_seeds_give_equal_weights_and_the_librarys_names() -> None:
    settings = NetworkSettings("monai/resnet10", 1, (16, 16, 16), options={"width": 8})
    first, second = (build_backbone(settings, seed=4).library_module.state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert {"conv1.weight", "layer4.0.bn2.running_mean"} <= first.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (NetworkSettings("monai/VNet"), r"network\.type: expected one of .*monai/DenseNet121.*, found 'monai/VNet'"),
        (
            NetworkSettings("monai/DenseNet121", size=(16, 16)),
            r"network\.input\.size: monai/DenseNet121 cannot take images of",
        ),
        (NetworkSettings("monai/ViT", size=(40, 40)), r"network\.input\.size: expected multiples of the patch of 16"),
        (NetworkSettings("monai/ViT", options={"heads": 5}), r"options\.embedding: expected a multiple of 5 heads"),
        (NetworkSettings("monai/SwinTransformer", options={"embedding": 50}), r"embedding: expected a multiple of 12"),
        (NetworkSettings("monai/resnet10", options={"norm": "group", "width": 12}), r"width: expected a multiple of 8"),
        (NetworkSettings("monai/resnet10", frozen="stages 1-7"), r"network\.frozen: .* has the stages 1-4, found"),
    ],
)
def test_what_monai_cannot_build_is_named(settings: NetworkSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_backbone(settings, seed=0)


def test_a_large_volume_takes_no_memory_to_build() -> None:
    """The first convolution alone has maps of 4 GiB, for strides and for frozen stages."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settings = NetworkSettings("monai/resnet10", 1, (1024,) * 3, options={"width": 8}, frozen="stages 1-2")
    assert [level.stride for level in build_backbone(settings, seed=0).levels] == [4, 8, 16, 32]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_stages_are_what_a_level_depends_on() -> None:
    settings = NetworkSettings("monai/resnet10", 1, (32, 32), options={"width": 8}, frozen="stages 1-2")
    frozen = build_backbone(settings, seed=0).frozen_parameters
    parts = {name.split(".")[1] for name in frozen}
    assert parts == {"conv1", "bn1", "layer1", "layer2"}
