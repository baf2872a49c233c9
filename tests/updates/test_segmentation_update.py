"""A segmentation from its files to the gate's decision, by a metric where lower is better."""

import importlib
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from builders.learning import NoOptions, Segmenter
from builders.square_images import square_images

from anamnesis.methods import registered_methods
from anamnesis.records import (
    Evaluation,
    LabelOrigin,
    LabelSource,
    NetworkSettings,
    PatchSettings,
    TrainingSettings,
)
from anamnesis.registry import ApprovalMode, GatePolicy, TaskLimits, read_evaluations
from anamnesis.storage.store import open_store

POLICY = GatePolicy(
    floor=Decimal("0.8"),
    margin=Decimal("0.03"),
    recall_margin=Decimal("0.05"),
    saliency_floor=Decimal("0.3"),
    approval=ApprovalMode.AUTOMATIC,
    tasks={"squares": TaskLimits(ceiling=Decimal(3), margin=Decimal(1))},
)


def write_images(runner: Any, **settings: Any) -> None:
    folder = runner.root / "sources" / "west"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images.npz").write_bytes(square_images(**settings))


@pytest.fixture
def segmentation(runner: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The segmentation extreme of the protocol, as a registered method."""
    registered_methods()
    monkeypatch.setattr(Segmenter, "options_class", NoOptions, raising=False)
    monkeypatch.setitem(importlib.import_module("anamnesis.methods.register")._METHODS, "segmenter", Segmenter)
    runner.method, runner.policy = "segmenter", POLICY
    runner.training = TrainingSettings(batch_size=4, learning_rate=0.1)
    write_images(runner)
    return runner


def stored(runner: Any, results: dict[str, dict[str, object]]) -> Evaluation:
    (evaluation,) = read_evaluations(open_store(runner.registry), str(results["train"]["version"]))
    return evaluation


def criteria_of(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {item["name"]: item["result"] for item in results["promote"]["decision"]["criteria"]}


def test_from_files_to_the_decision(segmentation: Any) -> None:
    first = segmentation.update("west")
    assert first["promote"]["verdict"] == "promote", first["promote"]["reason"]
    evaluation = stored(segmentation, first)
    assert (evaluation.patients, evaluation.class_patients, evaluation.details) == (40, 40, None)
    assert set(evaluation.metrics) == {"Dice", "SurfaceDistance"}
    assert evaluation.metrics["SurfaceDistance"].high < 3
    assert evaluation.metrics["Dice"].low > Decimal("0.7")
    assert criteria_of(first) == {"ceiling": "passed", "recall": "not_applicable", "saliency": "not_applicable"}

    write_images(segmentation, seed=1)
    second = segmentation.update("west")
    assert second["promote"]["verdict"] == "promote", second["promote"]["reason"]
    difference = next(item for item in stored(segmentation, second).differences if item.metric == "SurfaceDistance")
    before, after = (stored(segmentation, results).metrics["SurfaceDistance"] for results in (first, second))
    assert difference.drop == pytest.approx(after.value - before.value, abs=Decimal("0.000002"))
    assert criteria_of(second)["forgetting"] == "passed"
    assert criteria_of(second)["recall_drop"] == "not_applicable"


def write_volumes(folder: Path) -> None:
    """Writes 36 training and 40 test volumes with a faint cuboid, each with its mask."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["file,patient,split"]
    for patient in range(76):
        mask = np.zeros((12, 12, 10), np.uint8)
        x, y, z = random.integers(1, (6, 6, 4))
        mask[x : x + 5, y : y + 5, z : z + 5] = 1
        for name, voxels in (
            (f"{patient}.nii", random.integers(0, 60, mask.shape, dtype=np.uint8) + 100 * mask),
            (f"{patient}_mask.nii", mask),
        ):
            nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(folder / name)
        rows.append(f"{patient}.nii,patient {patient},{'test' if patient < 40 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(rows))


@pytest.mark.parametrize("patches", [None, PatchSettings((12, 12, 12))], ids=["whole", "patches"])
def test_volumes_from_files_to_the_decision(segmentation: Any, tmp_path: Path, patches: PatchSettings | None) -> None:
    shutil.rmtree(tmp_path / "sources" / "west")
    write_volumes(tmp_path / "sources" / "west")
    config = replace(segmentation.config("west"), labels=LabelSource(LabelOrigin.MANIFEST, "labels.csv"))
    segmentation.config = lambda site: config
    segmentation.network = NetworkSettings(size=(8, 8, 8) if patches else (12, 12, 12), patches=patches)
    results = segmentation.update("west")
    evaluation = stored(segmentation, results)
    assert results["promote"]["verdict"] == "promote", results["promote"]["reason"]
    assert (evaluation.patients, set(evaluation.metrics)) == (40, {"Dice", "SurfaceDistance"})
    assert evaluation.metrics["Dice"].low > Decimal("0.7")
    assert criteria_of(results) == {"ceiling": "passed", "recall": "not_applicable", "saliency": "not_applicable"}


def test_a_version_with_longer_distances_is_rejected(segmentation: Any) -> None:
    champion = segmentation.update("west")["promote"]["champion"]
    write_images(segmentation, seed=1, empty_training_masks=True)
    worse = segmentation.update("west")
    assert (worse["promote"]["verdict"], worse["promote"]["champion"]) == ("reject", champion)
    assert criteria_of(worse)["forgetting"] == "failed"
    assert "input pixels above that of the base version" in str(worse["promote"]["reason"])


def test_without_limits_of_its_own_the_task_waits_for_a_person(segmentation: Any) -> None:
    segmentation.policy = replace(POLICY, tasks={})
    first = segmentation.update("west")
    assert first["promote"]["verdict"] == "await_approval"
    assert "gate.tasks declares no ceiling in input pixels for task squares at west" in str(first["promote"]["reason"])
