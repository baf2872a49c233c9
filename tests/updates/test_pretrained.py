"""Pretrained weights: one stored part, the registry alone is enough later, and every byte is in a digest."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load, save

from anamnesis.networks import build_backbone
from anamnesis.records import InputError, NetworkSettings, WeightsSettings, digest_bytes
from anamnesis.registry import find_prunable, list_versions, prune, read_part, read_version, verify_objects
from anamnesis.registry.pruning import GRACE_PERIOD
from anamnesis.registry.versions import blob_key
from anamnesis.storage import open_store
from anamnesis.updates.model import load_model
from anamnesis.updates.pretrained import PRETRAINED_PART
from anamnesis.updates.update import input_digest, run_update

if TYPE_CHECKING:
    from conftest import UpdateRunner

NETWORK = NetworkSettings(size=(16, 16), options={"width": 8, "norm": "group"})


def write_weights(path: Path, seed: int = 7) -> NetworkSettings:
    """Writes a backbone's file and returns the network that starts from it."""
    data = save(build_backbone(NETWORK, seed).state_dict())
    path.write_bytes(data)
    return replace(NETWORK, weights=WeightsSettings(str(path), digest_bytes(data)))


@pytest.fixture
def pretrained_runner(runner: "UpdateRunner", tmp_path: Path) -> "UpdateRunner":
    runner.network = write_weights(tmp_path / "w.safetensors")
    return runner


def digest_of(runner: "UpdateRunner") -> str:
    return input_digest(runner.request("north"), ())


def test_an_update_starts_from_the_weights(pretrained_runner: "UpdateRunner") -> None:
    pretrained_runner.network = replace(pretrained_runner.network, frozen="all")
    version = str(pretrained_runner.update("north")["train"]["version"])
    model = load_model(open_store(pretrained_runner.registry), version)
    expected = build_backbone(NETWORK, 7).state_dict()
    actual = model.method.network.backbone.state_dict()
    assert all(torch.equal(actual[name], tensor) for name, tensor in expected.items())
    other_start = build_backbone(NETWORK, pretrained_runner.training.seed).state_dict()
    assert not all(torch.equal(actual[name], tensor) for name, tensor in other_start.items())


@pytest.mark.parametrize("position", [0, 9, 200, -1])
def test_one_changed_byte_is_refused_before_it_is_parsed(pretrained_runner: "UpdateRunner", position: int) -> None:
    weights = pretrained_runner.network.weights
    assert weights
    data = bytearray(Path(weights.url).read_bytes())
    data[position] ^= 1
    Path(weights.url).write_bytes(data)
    snapshot, _ = pretrained_runner.ingest("north")
    with pytest.raises(InputError, match=f"network.weights.sha256 is {weights.sha256}, but the digest"):
        run_update(pretrained_runner.request("north"), snapshot)
    assert not list_versions(open_store(pretrained_runner.registry))


def test_every_field_of_the_weights_but_the_address_is_in_the_digests(
    pretrained_runner: "UpdateRunner", tmp_path: Path
) -> None:
    before, weights = digest_of(pretrained_runner), pretrained_runner.network.weights
    assert weights
    changes = {
        "sha256": digest_bytes(b"other"),
        "mapping": "timm",
        "channels": "sum",
        "licence": "MIT",
        "format": "pytorch",
    }
    assert {"url", *changes} == {*WeightsSettings.__dataclass_fields__}
    digests = {before}
    for name, value in changes.items():
        pretrained_runner.network = replace(NETWORK, weights=replace(weights, **{name: value}))
        digests.add(digest_of(pretrained_runner))
    assert len(digests) == 1 + len(changes)
    pretrained_runner.network = replace(NETWORK, weights=replace(weights, url="s3://elsewhere/w"))
    assert digest_of(pretrained_runner) == before


def test_the_first_update_says_once_what_it_ignored(pretrained_runner: "UpdateRunner") -> None:
    weights = pretrained_runner.network.weights
    assert weights
    data = save({**load(Path(weights.url).read_bytes()), "fc.weight": torch.zeros(3, 32)})
    Path(weights.url).write_bytes(data)
    pretrained_runner.network = replace(NETWORK, weights=replace(weights, sha256=digest_bytes(data)))
    snapshot, _ = pretrained_runner.ingest("north")
    notes = []
    for seed in (0, 4):
        pretrained_runner.training = replace(pretrained_runner.training, seed=seed)
        notes += run_update(pretrained_runner.request("north"), snapshot).notes
    assert notes == ["network.weights: ignored the classification head fc.weight [3, 32]"]


def test_a_moved_file_gives_the_same_version(pretrained_runner: "UpdateRunner", tmp_path: Path) -> None:
    snapshot, _ = pretrained_runner.ingest("north")
    first = run_update(pretrained_runner.request("north"), snapshot).record
    weights = pretrained_runner.network.weights
    assert weights
    moved = tmp_path / "elsewhere.safetensors"
    Path(weights.url).rename(moved)
    pretrained_runner.network = replace(NETWORK, weights=replace(weights, url=moved.as_uri()))
    other = run_update(replace(pretrained_runner.request("north"), registry=f"{tmp_path}/other"), snapshot).record
    assert (other.version, other.input_digest) == (first.version, first.input_digest)
    version = read_version(open_store(pretrained_runner.registry), first.version)
    assert str(tmp_path) not in str(version.configuration)


def test_later_updates_need_the_registry_alone_and_name_one_blob(pretrained_runner: "UpdateRunner") -> None:
    weights = pretrained_runner.network.weights
    assert weights
    pretrained_runner.network = replace(pretrained_runner.network, frozen="all")
    pretrained_runner.update("north")
    Path(weights.url).unlink()
    pretrained_runner.update("east")
    store = open_store(pretrained_runner.registry)
    versions = [read_version(store, digest) for digest in list_versions(store)]
    assert len(versions) == 2
    assert len({version.parts[PRETRAINED_PART] for version in versions}) == 1
    for version in versions:
        assert set(load(read_part(store, version, "network"))) == {"head.weight", "head.bias"}
    backbone_bytes = len(read_part(store, versions[0], PRETRAINED_PART))
    assert all(len(read_part(store, version, "network")) < backbone_bytes / 10 for version in versions)


def test_a_first_update_after_a_rejected_one_needs_no_file(pretrained_runner: "UpdateRunner") -> None:
    snapshot, _ = pretrained_runner.ingest("north")
    run_update(pretrained_runner.request("north"), snapshot)
    weights = pretrained_runner.network.weights
    assert weights
    Path(weights.url).unlink()
    pretrained_runner.training = replace(pretrained_runner.training, seed=4)
    assert not run_update(pretrained_runner.request("north"), snapshot).is_reused


def test_a_missing_file_names_the_field(pretrained_runner: "UpdateRunner") -> None:
    weights = pretrained_runner.network.weights
    assert weights
    Path(weights.url).unlink()
    snapshot, _ = pretrained_runner.ingest("north")
    with pytest.raises(InputError, match=r"network\.weights\.url: .*w\.safetensors"):
        run_update(pretrained_runner.request("north"), snapshot)


def test_trained_tensors_are_stored_and_load_again(pretrained_runner: "UpdateRunner") -> None:
    version = str(pretrained_runner.update("north")["train"]["version"])
    store = open_store(pretrained_runner.registry)
    stored = load(read_part(store, read_version(store, version), "network"))
    assert any(name.startswith("backbone.") for name in stored)
    model = load_model(store, version)
    assert torch.equal(
        model.method.network.state_dict()["backbone.blocks.0.weight"], stored["backbone.blocks.0.weight"]
    )


def test_the_part_is_verified_and_not_pruned(pretrained_runner: "UpdateRunner") -> None:
    version = str(pretrained_runner.update("north")["train"]["version"])
    store = open_store(pretrained_runner.registry)
    key = blob_key(read_version(store, version).parts[PRETRAINED_PART])
    assert not verify_objects(store)
    prune(store, find_prunable(store, grace=-GRACE_PERIOD), grace=-GRACE_PERIOD)
    assert store.exists(key)
    store.put(key, store.get(key)[:-1] + b"\1")
    assert [problem for problem in verify_objects(store) if key in problem]
    store.delete(key)
    assert [problem for problem in verify_objects(store) if key.removeprefix("blobs/") in problem]


def test_a_base_with_other_weights_is_refused(pretrained_runner: "UpdateRunner", tmp_path: Path) -> None:
    pretrained_runner.update("north")
    pretrained_runner.network = write_weights(tmp_path / "other.safetensors", seed=8)
    with pytest.raises(InputError, match=r"^network\.weights\.sha256: expected 'sha256:.* as in the base version"):
        pretrained_runner.update("east")
