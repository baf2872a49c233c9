"""Features of a frozen network in the scratch folder: equal bits whatever is stored, and nothing stale or damaged."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from anamnesis.methods import PredictionRequest
from anamnesis.methods.frozen_ridge import FrozenRidge, FrozenRidgeOptions
from anamnesis.networks.level_classifier import PooledLevels
from anamnesis.records import NetworkSettings, digest_json
from anamnesis.storage.scratch import EntryName, Scratch
from anamnesis.training.split_arrays import stored_features
from anamnesis.training.split_arrays.stored_features import FeatureFolder, open_feature_cache

OWN = NetworkSettings(size=(24, 24), options={"width": 8, "norm": "batch"})
NETWORKS = [
    OWN,
    NetworkSettings("ResNet18", size=(40, 33)),
    NetworkSettings("timm/tf_efficientnet_lite0", channels=3, size=(64, 64)),
    NetworkSettings("timm/tf_efficientnet_lite0", channels=3, size=(97, 97)),
]


@pytest.fixture
def folder(tmp_path: Path) -> FeatureFolder:
    return folder_of(Scratch(tmp_path / "scratch", 1 << 30))


def folder_of(scratch: Scratch, generation: str = "") -> FeatureFolder:
    """Returns the folder of a site that has prepared images."""
    name = EntryName("file:///store", generation, digest_json("images"))
    with scratch.write_entry(name, {"0.array": 8}):
        pass
    lease = scratch.open_entry(name)
    assert lease
    return FeatureFolder(scratch, name.owner, generation, lease.folder)


def images_of(spec: NetworkSettings, count: int = 13) -> Tensor:
    stored = torch.randint(0, 256, (count, spec.channels, *spec.size), generator=torch.Generator().manual_seed(0))
    return stored.float() / 255


def method_of(spec: NetworkSettings, options: FrozenRidgeOptions | None = None, seed: int = 0) -> FrozenRidge:
    method = FrozenRidge(options or FrozenRidgeOptions(), spec, seed)
    method.resize_head(4)
    torch.nn.init.normal_(method.network.head.weight, generator=torch.Generator().manual_seed(0))
    return method


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each pass through a network."""
    counts: list[int] = []
    forward = PooledLevels.forward

    def count(pooled: PooledLevels, images: Tensor) -> tuple[Tensor]:
        counts.append(len(images))
        return forward(pooled, images)

    monkeypatch.setattr(PooledLevels, "forward", count)
    return counts


def answers(method: FrozenRidge, images: Tensor, folder: FeatureFolder, batch: int = 5) -> Tensor:
    with open_feature_cache(folder) as cache:
        request = PredictionRequest(feature_cache=cache)
        logits = [method.predict(chunk, request).logits for chunk in torch.split(images, batch)]
    return torch.cat([part for part in logits if part is not None])


def files_of(folder: FeatureFolder, name: str = "features.array") -> list[Path]:
    return sorted(folder.scratch.root.rglob(name))


@pytest.mark.parametrize(
    ("spec", "threads"),
    [*((spec, 1) for spec in NETWORKS), (OWN, 2)],
    ids=lambda value: value if isinstance(value, int) else f"{value.type}-{value.size[0]}",
)
def test_answers_have_equal_bits_with_an_empty_a_half_full_and_a_full_cache(
    spec: NetworkSettings, threads: int, folder: FeatureFolder, computed: list[int]
) -> None:
    if spec.type.startswith("timm"):
        pytest.importorskip("timm", reason="the extra timm is not installed")
    images, method = images_of(spec, 8), method_of(spec)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        expected = answers(method, images, replace(folder, owner="file:///other"))
        answers(method, images[[7, 2, 3]], folder, batch=3)
        computed.clear()
        assert torch.equal(answers(method, images, folder), expected)
        assert len(computed) == 8 - 3 + 1  # the missing ones, and one of the part that was read
        computed.clear()
        assert torch.equal(answers(method_of(spec), images, folder), expected)
        assert 2 <= len(computed) <= 2 + 2  # one of each part; a new method folds its norms before
        assert torch.equal(answers(method, images.flip(0), folder), expected.flip(0))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "other",
    [
        lambda: method_of(OWN, seed=1),
        lambda: method_of(OWN, FrozenRidgeOptions(levels=1)),
        lambda: method_of(OWN, FrozenRidgeOptions(grid=2)),
        lambda: method_of(replace(OWN, mean=(0.4,), std=(0.25,))),
        lambda: method_of(replace(OWN, options={"width": 8, "norm": "group"})),
    ],
    ids=["weights", "levels", "grid", "normalisation", "layers"],
)
def test_another_network_or_option_never_reads_the_features(
    other: Callable[[], FrozenRidge], folder: FeatureFolder, computed: list[int]
) -> None:
    images = images_of(OWN)
    answers(method_of(OWN), images, folder)
    computed.clear()
    answers(other(), images, folder)
    assert len(computed) >= len(images)


def test_new_weights_of_the_same_method_never_read_the_features(folder: FeatureFolder, computed: list[int]) -> None:
    images, method = images_of(OWN), method_of(OWN)
    answers(method, images, folder)
    method.load_pretrained(method_of(OWN, seed=1).network.backbone.state_dict())
    expected = answers(method, images, replace(folder, owner="file:///other"))
    assert torch.equal(answers(method, images, folder), expected)


def test_a_projection_reads_the_features_without_one(folder: FeatureFolder, computed: list[int]) -> None:
    images, method = images_of(OWN), method_of(OWN, FrozenRidgeOptions(projection=9))
    expected = answers(method, images, replace(folder, owner="file:///other"))
    answers(method_of(OWN), images, folder)
    computed.clear()
    assert torch.equal(answers(method, images, folder), expected)
    assert computed == [1]


def flip_bits(path: Path, *positions: int) -> None:
    data = bytearray(path.read_bytes())
    for position in positions:
        data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "count"),
    [
        (lambda folder: flip_bits(files_of(folder)[0], 3, -1), 2),
        (lambda folder: flip_bits(files_of(folder, "features.keys")[0], 70), 1),
        (lambda folder: files_of(folder)[0].write_bytes(files_of(folder)[0].read_bytes()[:-5]), 13),
        (lambda folder: files_of(folder)[0].write_bytes(files_of(folder)[0].read_bytes()[: -4 * 13]), 13),
        (lambda folder: files_of(folder)[0].write_bytes(b""), 13),
        (lambda folder: files_of(folder, "features.keys")[0].unlink(), 13),
    ],
    ids=["features", "checksum", "truncated", "a column less", "empty", "lost"],
)
def test_damaged_features_are_computed_and_written_again(
    damage: Callable[[FeatureFolder], object], count: int, folder: FeatureFolder, computed: list[int]
) -> None:
    images, method = images_of(OWN), method_of(OWN)
    expected = answers(method, images, folder)
    damage(folder)
    computed.clear()
    assert torch.equal(answers(method, images, folder), expected)
    assert count <= len(computed) <= count + 1
    computed.clear()
    assert torch.equal(answers(method, images, folder), expected)
    assert len(computed) <= 2  # one of each part


def test_features_that_another_machine_rounded_otherwise_are_not_used(
    folder: FeatureFolder, computed: list[int]
) -> None:
    images, method = images_of(OWN), method_of(OWN)
    expected = answers(method, images, replace(folder, owner="file:///other"))
    fast_features = method._fast_features
    method._fast_features = lambda batch: (fast_features(batch)[0] * (1 + 1e-6),)  # type: ignore[assignment]
    method._fast_features.digest = fast_features.digest  # type: ignore[method-assign]
    rounded = answers(method, images, folder)
    assert not torch.equal(rounded, expected)
    other, method._fast_features = method._fast_features, fast_features
    assert torch.equal(answers(method, images, folder), expected)
    computed.clear()
    assert torch.equal(answers(method, images, folder), expected)  # its own part is found behind the other
    assert len(computed) == 1
    method._fast_features = other
    assert torch.equal(answers(method, images, folder), rounded)
    assert len(computed) == 3  # and that of the other behind this one


def test_a_pass_that_fails_leaves_whole_parts_alone(folder: FeatureFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    images, method = images_of(OWN), method_of(OWN)
    monkeypatch.setattr(stored_features, "PART_BYTES", 4 * method.network.head.weight.shape[1] * 6)

    def fail() -> None:
        with open_feature_cache(folder) as cache:
            for chunk in torch.split(images, 4):
                method.predict(chunk, PredictionRequest(feature_cache=cache))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert len(files_of(folder)) == 1
    monkeypatch.undo()
    expected = answers(method, images, replace(folder, owner="file:///other"))
    assert torch.equal(answers(method, images, folder), expected)


def test_two_at_once_and_a_full_disk_change_nothing(folder: FeatureFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    images, method = images_of(OWN), method_of(OWN)
    expected = answers(method, images, replace(folder, owner="file:///other"))
    with open_feature_cache(folder) as cache:
        request = PredictionRequest(feature_cache=cache)
        first = method.predict(images[:9], request).logits
        assert torch.equal(answers(method, images[4:], folder), expected[4:])  # another process, which ends first
        assert first is not None
        assert torch.equal(first, expected[:9])
    assert sorted(len(path.read_bytes()) // 64 for path in files_of(folder, "features.keys")) == [4, 9, 13]
    full = replace(folder, owner="file:///full")
    monkeypatch.setattr("os.posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    assert torch.equal(answers(method, images, full), expected)
    assert len(files_of(folder)) == 3


class BrokenFile(BytesIO):
    """A file of a disk that fails."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write(self, data: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_disk_that_fails_changes_no_answer(folder: FeatureFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    images, method = images_of(OWN, 4), method_of(OWN)
    expected = answers(method, images, folder)
    original = Path.open

    def broken(path: Path, *values: Any, **named: Any) -> Any:
        return BrokenFile() if path.name == "features.array" else original(path, *values, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", broken)
        assert torch.equal(answers(method, images, folder), expected)
    (file,) = files_of(folder)
    shutil.rmtree(file.parent)
    file.parent.write_bytes(b"")  # no folder: a part that cannot be opened
    assert torch.equal(answers(method, images, folder), expected)


def test_a_withdrawal_removes_the_features(folder: FeatureFolder, computed: list[int]) -> None:
    images, method = images_of(OWN), method_of(OWN)
    expected = answers(method, images, folder)
    with open_feature_cache(folder) as cache:  # an update that goes on while they are removed
        request = PredictionRequest(feature_cache=cache)
        method.predict(images[:2], request)
        folder.scratch.remove_all(folder.owner)
        method.predict(images[2:] / 2, request)
        logits = method.predict(images[2:], request).logits
    assert logits is not None
    assert torch.equal(logits, expected[2:])
    assert not files_of(folder)
    answers(method, images, folder_of(folder.scratch))
    computed.clear()
    later = folder_of(folder.scratch, "later")  # a machine that learns of the withdrawal at its next update
    assert torch.equal(answers(method, images, later), expected)
    assert len(computed) == 13
    assert len(files_of(folder)) == 1
