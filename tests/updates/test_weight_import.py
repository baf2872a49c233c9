"""An existing classifier as the first version: read without running code, evaluated, and the base of later updates."""

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import monai.networks.nets
import pytest
import torch
import torchvision.models
from safetensors.torch import save_file
from torch import Tensor, nn

from anamnesis.methods import PredictionRequest, registered_methods
from anamnesis.networks import Classifier
from anamnesis.records import (
    Configuration,
    ConflictError,
    InputError,
    NetworkSettings,
    SiteRef,
    WeightsSettings,
    digest_bytes,
)
from anamnesis.registry import Log, build_history, list_versions, read_evaluations
from anamnesis.storage import open_store
from anamnesis.updates.model import load_model
from anamnesis.updates.update import run_update
from anamnesis.updates.weight_import import ImportRequest, import_weights

if TYPE_CHECKING:
    from conftest import UpdateRunner

NETWORK = NetworkSettings(size=(16, 16), options={"width": 8, "norm": "group"})


def classifier() -> Classifier:
    return Classifier(NETWORK, seed=5, classes=2).eval()


def weights() -> dict[str, Tensor]:
    network = classifier()
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(1))
        network.head.bias.normal_(generator=torch.Generator().manual_seed(2))
    return network.state_dict()


def import_into(
    runner: "UpdateRunner",
    path: Path,
    method: str = "finetune",
    mapping: str = "",
    options: Mapping[str, object] | None = None,
) -> str:
    configuration = Configuration(method, options or {}, runner.network, runner.training)
    request = ImportRequest(path, "north", runner.config("north").task, configuration, mapping)
    return import_weights(open_store(runner.registry), request, author="me", reason="had it")


def continue_from(runner: "UpdateRunner", version: str) -> None:
    """Makes the imported version, of site ``north``, the base of the next update."""
    _, test_set = runner.ingest("north")
    runner.base = version
    runner.learned_sites = (
        SiteRef(
            name="north",
            store=runner.store("north"),
            task=runner.config("north").task,
            test_set=test_set,
            modalities=("OT",),
        ),
    )


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_imported_weights_are_learned_on_from_and_gated(runner: "UpdateRunner", tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(weights(), path) if path.suffix == ".safetensors" else torch.save({"state_dict": weights()}, path)
    first = import_into(runner, path)
    store = open_store(runner.registry)
    assert build_history(Log(store).entries()).champion == first
    continue_from(runner, first)
    result = runner.update("east")["promote"]
    assert result["verdict"] == "promote"
    margins = [c for c in result["decision"]["criteria"] if c["name"] == "forgetting"]
    assert {c["site"] for c in margins} == {"north"}
    assert [e.site for e in read_evaluations(store, first)] == ["north"]


@pytest.mark.parametrize("method", registered_methods())
def test_every_method_answers_as_the_classifier_and_learns_on(
    runner: "UpdateRunner", tmp_path: Path, method: str
) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    first = import_into(runner, tmp_path / "w.safetensors", method)
    images = torch.rand(3, 1, 16, 16)
    expected = classifier()
    expected.load_state_dict(weights())
    store = open_store(runner.registry)
    with torch.no_grad():
        answer = load_model(store, first).method.predict(images, PredictionRequest()).logits
        torch.testing.assert_close(answer.softmax(1), expected(images).softmax(1))
    continue_from(runner, first)
    runner.method = method
    snapshot, _ = runner.ingest("east")
    request = replace(runner.request("east"), stored_images=True)
    if method == "joint":  # it opens earlier training data, and imported weights have none
        return
    second = load_model(store, run_update(request, snapshot).record.version)
    logits = second.method.predict(images, PredictionRequest()).logits
    assert logits is not None
    assert logits.shape == (3, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("method", ["frozen_ridge", "specialists"])
def test_closed_forms_keep_the_imported_answer_until_the_site_itself_is_learned(
    runner: "UpdateRunner", tmp_path: Path, method: str
) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    continue_from(runner, import_into(runner, tmp_path / "w.safetensors", method))
    runner.method = method
    images, task_columns = torch.rand(3, 1, 16, 16), PredictionRequest(class_indices=(0, 1))

    def answer(version: str) -> Tensor:
        logits = load_model(open_store(runner.registry), version).method.predict(images, task_columns).logits
        assert logits is not None
        return logits[:, :2].softmax(1)

    before = answer(runner.base)
    snapshot, _ = runner.ingest("east")
    runner.base = run_update(runner.request("east"), snapshot).record.version
    torch.testing.assert_close(answer(runner.base), before)
    snapshot, _ = runner.ingest("north")
    after = answer(run_update(runner.request("north"), snapshot).record.version)
    assert not torch.allclose(after, before, atol=1e-3)


def library_classifier(name: str, size: tuple[int, ...]) -> tuple[NetworkSettings, nn.Module]:
    """Returns a classifier of two classes as the library builds it, and the network that reads its file."""
    library, _, architecture = name.partition("/")
    if library == "timm":
        module = pytest.importorskip("timm").create_model(architecture, in_chans=1, num_classes=2)
        return NetworkSettings(name, 1, size), module
    if library == "torchvision":
        return NetworkSettings(f"timm/{architecture}", 3, size), getattr(torchvision.models, architecture)(
            num_classes=2
        )
    arguments = {
        "resnet10": {"n_input_channels": 1, "num_classes": 2},  # its stem has stride 1, if nothing else is said
        "DenseNet121": {"in_channels": 1, "out_channels": 2},
        "SEResNet50": {"in_channels": 1, "num_classes": 2},
    }[architecture]
    module = getattr(monai.networks.nets, architecture)(spatial_dims=len(size), **arguments)
    options = {"stem_stride": 1} if architecture == "resnet10" else {}
    return NetworkSettings(f"monai/{architecture}", 1, size, options), module


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("timm/test_resnet", (64, 64)),
        ("timm/test_efficientnet", (64, 64)),
        ("torchvision/resnet18", (64, 64)),
        ("torchvision/densenet121", (64, 64)),
        ("monai/resnet10", (32, 32, 32)),
        ("monai/DenseNet121", (32, 32, 32)),
        ("monai/SEResNet50", (64, 64)),
    ],
)
def test_an_imported_classifier_of_a_library_answers_as_there(
    runner: "UpdateRunner", tmp_path: Path, name: str, size: tuple[int, ...]
) -> None:
    runner.network, module = library_classifier(name, size)
    with torch.no_grad():
        for parameter in (value for name, value in module.named_parameters() if name.endswith("bias")):
            parameter.add_(0.01)  # they start at zero
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    mapping = name.partition("/")[0]
    version = import_into(runner, tmp_path / "w.safetensors", mapping=mapping)
    method = load_model(open_store(runner.registry), version).method
    images = torch.rand(2, runner.network.channels, *size)
    with torch.no_grad():
        expected = module.eval()(method.network.backbone.normalise(images))
    torch.testing.assert_close(method.predict(images, PredictionRequest()).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["test_vit", "test_vit3", "test_convnext"])
def test_a_head_that_reads_no_mean_is_refused(runner: "UpdateRunner", tmp_path: Path, name: str) -> None:
    """It reads the class token, attention over the patches, a normalised mean."""
    runner.network, module = library_classifier(f"timm/{name}", (160, 160))
    tensors = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith("attn_pool")}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=f"the head of timm/{name} does not read the mean of the last feature maps"):
        import_into(runner, tmp_path / "w.safetensors")
    assert not list_versions(open_store(runner.registry))


def test_cells_that_overlap_are_refused(runner: "UpdateRunner", tmp_path: Path) -> None:
    runner.network = replace(NETWORK, size=(56, 56))
    save_file(weights(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"frozen_ridge would give other answers .* \[7, 7\] cells evenly; set grid"):
        import_into(runner, tmp_path / "w.safetensors", "frozen_ridge")
    import_into(runner, tmp_path / "w.safetensors", "frozen_ridge", options={"grid": 7})


def test_a_second_first_version_is_refused(runner: "UpdateRunner", tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    import_into(runner, tmp_path / "w.safetensors")
    other_weights = {name: value + 1 for name, value in weights().items()}
    save_file(other_weights, tmp_path / "other.safetensors")
    with pytest.raises(ConflictError):
        import_into(runner, tmp_path / "other.safetensors")


def rename(tensors: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {name.replace(old, new): tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: rename(w, "blocks.0", "block.0"), r"blocks\.0\.weight \(nearest: block\.0\.weight\)"),
        (lambda w: {**w, "extra": torch.zeros(1)}, "1 not in the network: extra"),
        (lambda w: {**w, "backbone.blocks.1.bias": torch.zeros(3)}, r"blocks\.1\.bias has \[3\], the network \[8\]"),
        (lambda w: {**w, "head.weight": torch.zeros(3, 32)}, "found a head of 3 rows"),
        (lambda w: {**w, "head.weight": torch.zeros(2, 31)}, "the head reads 31 features, but SmallCNN has 32"),
        (lambda w: {name: t for name, t in w.items() if "head" not in name}, "found no head"),
    ],
)
def test_what_does_not_fit_is_listed(runner: "UpdateRunner", tmp_path: Path, change: "object", message: str) -> None:
    assert callable(change)
    save_file(change(weights()), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message):
        import_into(runner, tmp_path / "w.safetensors")


def test_a_model_with_another_start_is_refused(runner: "UpdateRunner", tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    data = (tmp_path / "w.safetensors").read_bytes()
    runner.network = replace(NETWORK, weights=WeightsSettings("absent", digest_bytes(b"other")))
    with pytest.raises(InputError, match="the model would have two starts"):
        import_into(runner, tmp_path / "w.safetensors")
    runner.network = replace(NETWORK, weights=WeightsSettings("absent", digest_bytes(data)))
    import_into(runner, tmp_path / "w.safetensors")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_file_is_refused_and_not_run(
    runner: "UpdateRunner", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"state_dict": Evil()}, tmp_path / "evil2.pt")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    for name in ("evil.pt", "evil2.pt", "noise.safetensors", "absent.pt"):
        with pytest.raises(InputError, match=name):
            import_into(runner, tmp_path / name)
    assert not (tmp_path / "ran").exists()
