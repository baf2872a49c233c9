import io
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from anamnesis.cli.progress import PlainReporter
from anamnesis.demo import run
from anamnesis.demo.resources import METHODS, PRETRAINED, SMALL, DemoNetwork, model_name, write_resources
from anamnesis.demo.sites import have_images, real_sites
from anamnesis.local.context import SelectedModel, select_model
from anamnesis.local.progress import Reporter
from anamnesis.local.sources import real_images_folder
from anamnesis.operator.addresses import store_url
from anamnesis.operator.api.network import NetworkSpec
from anamnesis.operator.requests import site_config
from anamnesis.records import InputError


@pytest.fixture
def reporter() -> Reporter:
    return PlainReporter(io.StringIO())


def select_models(folder: Path) -> list[SelectedModel]:
    write_resources(folder, real_sites(folder / "nowhere"), SMALL)
    return [select_model([folder], model_name(method)) for method in METHODS]


def test_its_resources_are_like_a_hospitals(tmp_path: Path) -> None:
    selections = select_models(tmp_path)
    for selected in selections:
        assert [site.name for site in selected.resources.sites_of(selected.model)] == ["xray", "ct", "mri", "blood"]
    stores = [{store_url(site) for site in selection.resources.sites.values()} for selection in selections]
    assert stores[0] == stores[1] == stores[2], "a site is ingested once for all methods"
    assert len({selection.registry.url for selection in selections}) == len(METHODS)


def test_real_sites_are_where_the_data_folder_has_them(data_folder: Path, tmp_path: Path) -> None:
    assert have_images(real_sites(data_folder))
    write_resources(tmp_path, real_sites(data_folder), PRETRAINED)
    selected = select_model([tmp_path], model_name(METHODS[0]))
    assert site_config(selected.resources.sites["ct"]).labels.ignore == ("benign",)
    assert selected.model.resource.spec.network.weights
    assert not have_images(real_sites(tmp_path))


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, reporter: Reporter) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is not empty and was not made by anamnesis demo"):
        run._prepare_folder(tmp_path, True, reporter)
    assert (tmp_path / "thesis.tex").exists()


def test_it_continues_and_starts_again_as_it_says(tmp_path: Path, reporter: Reporter, data_folder: Path) -> None:
    folder = tmp_path / "demo"
    run._prepare_folder(folder, False, reporter)
    (folder / "registries").mkdir()
    run._prepare_folder(folder, False, reporter)
    assert (folder / "registries").exists()
    run._prepare_folder(folder, True, reporter)
    assert not (folder / "registries").exists()
    assert (folder / "sites.yaml").exists()


@pytest.mark.parametrize(("is_installed", "network"), [(True, PRETRAINED), (False, SMALL)])
def test_it_says_which_network_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_folder: Path, is_installed: bool, network: DemoNetwork
) -> None:
    monkeypatch.setattr(run.default_network, "has_pretrained_network", lambda: is_installed)
    output = io.StringIO()
    run._prepare_folder(tmp_path / "demo", False, PlainReporter(output))
    assert f"network: {network.description}" in output.getvalue()
    assert ("pip install 'anamnesis[pretrained]'" in output.getvalue()) is not is_installed
    spec = select_model([tmp_path / "demo"], "joint").model.resource.spec
    assert spec.network == NetworkSpec.model_validate(network.network)


def test_a_stage_that_was_half_set_is_set_again(tmp_path: Path, reporter: Reporter, data_folder: Path) -> None:
    run._prepare_folder(tmp_path / "demo", False, reporter)
    (tmp_path / "demo" / "model-joint.yaml").unlink()
    run._prepare_folder(tmp_path / "demo", False, reporter)
    assert (tmp_path / "demo" / "model-joint.yaml").exists()


def test_the_first_error_is_reported_not_the_interrupts_of_the_others(
    tmp_path: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def learn(selected: SelectedModel, reporter: Reporter, **_: object) -> None:
        if selected.model.name == "ewc-prototype":
            began.wait(10)
            raise InputError("the disk is full")
        began.set()
        progress = reporter.track(selected.model.name)
        while True:
            progress(0, 1, "goes on until it is stopped")

    monkeypatch.setattr(run, "learn", learn)
    selections: Sequence[SelectedModel] = select_models(tmp_path)
    with pytest.raises(InputError, match="the disk is full"):
        run._learn_models(selections, reporter)


def test_real_images_are_looked_for_beside_the_checkout() -> None:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    assert real_images_folder({}) == (beside if beside.is_dir() else None)
