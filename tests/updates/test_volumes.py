"""A site of NIfTI volumes learned by a network of three sides, whole and in patches, through every step."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from anamnesis.records import (
    LabelOrigin,
    LabelSource,
    NetworkSettings,
    PatchSettings,
    TrainingSettings,
)
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.registry.gate import SALIENCY
from anamnesis.storage.store import open_store

PATIENTS = 24
WHOLE = NetworkSettings("monai/resnet10", size=(16, 16, 16), options={"width": 8, "stem_stride": 1, "stem_pool": False})
IN_PATCHES = replace(WHOLE, patches=PatchSettings((24, 16, 16)))


def write_volumes(folder: Path) -> None:
    """Writes volumes whose class is in the slices near the head: the middle slice does not show it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = ["file,label,patient,split"]
    for patient in range(PATIENTS):
        label = ("left", "right")[patient % 2]
        voxels = random.integers(0, 60, (16, 16, 20), dtype=np.uint8)
        if label == "right":
            voxels[..., 12:] += 150
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(folder / f"{patient}.nii.gz")
        split = "test" if patient < 8 else "train"
        rows.append(f"{patient}.nii.gz,{label},patient {patient},{split}")
    (folder / "labels.csv").write_text("\n".join(rows))


@pytest.mark.parametrize("network", [WHOLE, IN_PATCHES], ids=["whole", "patches"])
def test_volumes_are_learned_and_evaluated(runner: Any, tmp_path: Path, network: NetworkSettings) -> None:
    write_volumes(tmp_path / "sources" / "north")
    (tmp_path / "split.key").write_text("k" * 40)  # a random key would give another order of training
    labels = LabelSource(LabelOrigin.MANIFEST, "labels.csv")
    config = replace(runner.config("north"), labels=labels)
    runner.network, runner.config = network, lambda site: config
    runner.training = TrainingSettings(epochs=12, batch_size=6, learning_rate=5e-3, augment=False)
    results = runner.update("north")
    version = str(results["train"]["version"])
    evaluations = {item.name: item for item in read_evaluations(open_store(runner.registry), version)}
    accuracy = next(item.metrics["Accuracy"] for item in evaluations.values() if "Accuracy" in item.metrics)
    assert float(accuracy.value) == 1
    assert bool(evaluations[SALIENCY].metrics) is (network.patches is None)
