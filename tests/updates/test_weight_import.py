"""Existing weights as the first version: read without running code, evaluated, and the base of later updates."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from anamnesis.networks import Classifier
from anamnesis.records import Configuration, ConflictError, InputError, NetworkSettings, SiteRef
from anamnesis.registry import Log, build_history, read_evaluations
from anamnesis.storage import open_store
from anamnesis.updates.weight_import import import_weights, read_weights

if TYPE_CHECKING:
    from conftest import UpdateRunner

SPEC = NetworkSettings(size=(16, 16), width=8)


def weights() -> dict[str, torch.Tensor]:
    return Classifier(SPEC, seed=5, classes=2).state_dict()


def import_into(runner: "UpdateRunner", path: Path) -> str:
    task = runner.config("north").task
    return import_weights(
        open_store(runner.registry),
        path,
        site="north",
        task=task,
        configuration=Configuration("finetune", {}, SPEC, runner.training),
        author="me",
        reason="had it",
    )


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_imported_weights_are_learned_on_from_and_gated(runner: "UpdateRunner", tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(weights(), path) if path.suffix == ".safetensors" else torch.save({"state_dict": weights()}, path)
    first = import_into(runner, path)
    store = open_store(runner.registry)
    assert build_history(Log(store).entries()).champion == first
    _, test_set = runner.ingest("north")
    runner.base = first
    runner.learned_sites = (
        SiteRef(
            name="north",
            store=runner.store("north"),
            task=runner.config("north").task,
            test_set=test_set,
            modality="OT",
        ),
    )
    result = runner.update("east")["promote"]
    assert result["verdict"] == "promote"
    margins = [c for c in result["decision"]["criteria"] if c["name"] == "forgetting"]
    assert {(c["site"], c["result"]) for c in margins} == {("north", "passed")}
    assert [e.site for e in read_evaluations(store, first)] == ["north"]


def test_a_second_first_version_is_refused(runner: "UpdateRunner", tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "w.safetensors")
    import_into(runner, tmp_path / "w.safetensors")
    other_weights = {name: value + 1 for name, value in weights().items()}
    save_file(other_weights, tmp_path / "other.safetensors")
    with pytest.raises(ConflictError):
        import_into(runner, tmp_path / "other.safetensors")


def test_mismatches_with_the_network_are_listed(runner: "UpdateRunner", tmp_path: Path) -> None:
    changed_weights = weights()
    changed_weights["head.weight"] = torch.zeros(3, 32)
    changed_weights["extra"] = torch.zeros(1)
    del changed_weights["head.bias"]
    save_file(changed_weights, tmp_path / "w.safetensors")
    with pytest.raises(
        InputError, match=r"head\.bias: missing, extra: not in the network, head\.weight: shape \[3, 32\]"
    ):
        import_into(runner, tmp_path / "w.safetensors")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"state_dict": Evil()}, tmp_path / "evil2.pt")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    for name in ("evil.pt", "evil2.pt", "noise.safetensors", "absent.pt"):
        with pytest.raises(InputError, match=name):
            read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()
