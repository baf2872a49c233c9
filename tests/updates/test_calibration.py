"""Temperature and threshold come from the frozen calibration set, which only the evaluation opens."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from anamnesis.records import Split, TrainingSettings
from anamnesis.registry import read_evaluations
from anamnesis.snapshots import Guard, list_test_sets
from anamnesis.storage import open_store

if TYPE_CHECKING:
    from conftest import UpdateRunner


def _write_undeclared(runner: "UpdateRunner", patients: int) -> None:
    """Bars that are hard to see, without a declared split."""
    folder = runner.root / "sources" / "north"
    folder.mkdir(parents=True)
    (runner.root / "split.key").write_text("k" * 40)  # a random key could draw fewer than 20 patients
    generator, labels = np.random.default_rng(0), np.arange(patients) % 2
    images = generator.integers(0, 160, (patients, 16, 16), dtype=np.uint8)
    images[labels == 1, :, 5:9] += 40
    groups, names = np.array([f"p{number}" for number in range(patients)]), np.array(["left", "right"])
    np.savez(folder / "images.npz", images=images, labels=labels, groups=groups, class_names=names)


def test_an_evaluation_has_temperature_threshold_and_errors(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch
) -> None:
    openings: list[tuple[str, Split]] = []
    record_opening = Guard.record_opening
    monkeypatch.setattr(
        Guard,
        "record_opening",
        lambda guard, digest, split: openings.append((digest, split)) or record_opening(guard, digest, split),
    )
    runner.training = TrainingSettings(epochs=4, batch_size=32, learning_rate=5e-3)
    _write_undeclared(runner, 480)
    results = runner.update("north")
    (test_set,) = list_test_sets(open_store(runner.store("north")))
    (evaluation,) = read_evaluations(open_store(runner.registry), str(results["train"]["version"]))
    calibration = evaluation.calibration
    assert calibration is not None
    assert calibration.calibration_set == test_set.calibration
    assert calibration.cases >= 20
    assert calibration.temperature > 0
    assert calibration.threshold is not None
    assert 0 < calibration.threshold < 1
    assert evaluation.class_patients is not None
    assert evaluation.class_patients >= 9
    summary = results["forgetting"]["summary"]
    assert summary["north/CalibrationError"] == float(calibration.error_before)
    assert summary["north/CalibrationErrorAfterTemperature"] == float(calibration.error_after)
    assert [split for _, split in openings].count(Split.CALIBRATION) == 2  # by the update and by the evaluation
    assert openings[0][1] is Split.TRAIN  # training opens its own split first
    assert Split.VALIDATION in {split for _, split in openings}


def test_a_site_without_a_calibration_set_has_no_temperature(runner: "UpdateRunner") -> None:
    version = str(runner.update("north")["train"]["version"])
    (evaluation,) = read_evaluations(open_store(runner.registry), version)
    assert evaluation.calibration is None
