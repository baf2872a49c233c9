from pathlib import Path

import pytest
import yaml

from anamnesis.local import default_network
from anamnesis.local.backbones.catalogue import EFFICIENTNET_LITE0
from anamnesis.local.context import SelectedModel, select_model
from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.requests import located_configuration
from anamnesis.records import NetworkSettings

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
