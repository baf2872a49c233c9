from pathlib import Path
from typing import Any

import pytest
import yaml

from anamnesis.local import default_network
from anamnesis.local.backbones.catalogue import EFFICIENTNET_LITE0
from anamnesis.local.context import SelectedModel, select_model
from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.requests import located_configuration
from anamnesis.records import NetworkSettings, digest_bytes

from .conftest import Call, documents, write_documents


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The resource file of a model without a network."""
    site, model = documents()
    del model["spec"]["network"]  # type: ignore[attr-defined]
    return write_documents(tmp_path / "model.yaml", [site, model])


def network(selected: SelectedModel) -> NetworkSettings:
    return located_configuration(selected.local_context("").model).network


@pytest.mark.parametrize("is_installed", [True, False])
def test_a_model_without_a_network_has_the_pretrained_one_where_it_is_installed(
    file: Path, is_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_network, "has_pretrained_network", lambda: is_installed)
    selected = select_model([file])
    assert selected.default_network
    if is_installed:
        assert network(selected) == EFFICIENTNET_LITE0.network
        assert "efficientnet-lite0, which is installed" in selected.default_network.reason
    else:
        assert network(selected) == NetworkSettings(options={"norm": "batch", "width": 32})
        assert "pip install 'anamnesis[pretrained]'" in selected.default_network.reason


def test_a_registry_with_versions_keeps_their_network(
    promoted_model_file: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, model = yaml.safe_load_all(promoted_model_file.read_text(encoding="utf-8"))
    own_network = model["spec"].pop("network")
    write_documents(promoted_model_file, [site, model])
    other = call("status", "-f", promoted_model_file)
    assert (other.code, "spec.network: missing; the versions in the registry have" in other.err) == (2, True)
    monkeypatch.setattr(default_network, "SMALL_NETWORK", NetworkSpec.model_validate(own_network))
    run = call("run", "-f", promoted_model_file)
    assert (run.code, "SmallCNN, as in the versions of the registry" in run.err) == (0, True)
    assert "nothing new to learn" in run.err


def edit_network(file: Path, **fields: Any) -> None:
    site, model = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    model["spec"]["network"] |= fields
    write_documents(file, [site, model])


def test_an_edited_network_is_told_before_data_arrives(promoted_model_file: Path, call: Call) -> None:
    edit_network(promoted_model_file, options={"width": 16}, input={"channels": 1, "size": [48, 32]}, frozen="All")
    problem = (
        "network.input.size: expected [32, 32] as in the base version, found [48, 32]; "
        "network.options.width: expected 8 as in the base version, found 16; "
        "network.frozen: expected Nothing as in the base version, found All; the model keeps its network"
    )
    status = call("status", "-f", promoted_model_file)
    assert (status.code, problem in status.out) == (0, True), status.out
    for command in (("run",), ("update", "--site", "xray")):
        result = call(command[0], "-f", promoted_model_file, *command[1:])
        assert (result.code, problem in result.err) == (2, True), result.err
    edit_network(promoted_model_file, options={"width": 8}, input={"channels": 1, "size": [32, 32]}, frozen="Nothing")
    result = call("run", "-f", promoted_model_file)
    assert (result.code, "nothing new to learn" in result.err) == (0, True)


def test_a_changed_file_of_weights_is_told(promoted_model_file: Path, call: Call) -> None:
    file = promoted_model_file.parent / "weights.pt"
    file.write_bytes(b"first")
    edit_network(promoted_model_file, weights={"url": "weights.pt", "sha256": digest_bytes(b"first")})
    message = "the file was changed and is not used, because the registry has the tensors"
    assert message not in call("status", "-f", promoted_model_file).out
    file.write_bytes(b"second")
    assert message in call("status", "-f", promoted_model_file).out
    assert message in call("run", "-f", promoted_model_file).err
    file.unlink()
    assert message not in call("status", "-f", promoted_model_file).out
