"""Saliency of versions: faithful maps of answers on every site, retention of what learns on earlier ones."""

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from anamnesis.evaluation.saliency import AnswerMaps, is_faithful
from anamnesis.records import Evaluation, NetworkSettings, TrainingSettings
from anamnesis.registry import read_evaluations
from anamnesis.registry.opening import open_registry
from anamnesis.training import TensorSplit
from anamnesis.updates.explained_answers import Answers, ModelExplainer, Probes, select_probes
from anamnesis.updates.saliency_evaluation import evaluate_saliency
from anamnesis.updates.saliency_pictures import choose_rows, read_pictures

if TYPE_CHECKING:
    from conftest import UpdateRunner

FAITHFULNESS = {"Deletion", "DeletionRandom", "DeletionAdvantage", "LearnedShare"}
RETENTION = {"IoU", "SSIM", "Cosine", "Spearman", "IoURandom", "IoUSameClass", "IoUSameClass95"}


def saliency_of(runner: "UpdateRunner", version: str) -> dict[str, Evaluation]:
    evaluations = read_evaluations(open_registry(runner.registry), version)
    return {evaluation.site: evaluation for evaluation in evaluations if evaluation.name == "saliency"}


def striped_patches(patients: int = 120, side: int = 32) -> bytes:
    """Returns an NPZ file of noise with a striped patch at a random place: the class is the stripes' direction."""
    generator = np.random.default_rng(0)
    images = generator.integers(100, 130, (patients, side, side), dtype=np.uint8)
    for number, image in enumerate(images):
        row, column = generator.integers(0, side - 12, 2)
        patch = image if number % 2 else image.T
        patch[row : row + 12, column : column + 12][::4] = 250
        patch[row : row + 12, column : column + 12][1::4] = 250
    file, numbers = BytesIO(), np.arange(patients)
    split, groups = (numbers // 2 % 3 == 0).astype(np.uint8), np.array([f"patient-{number}" for number in numbers])
    np.savez(
        file, images=images, labels=numbers % 2, split=split, groups=groups, class_names=np.array(["left", "right"])
    )
    return file.getvalue()


def test_every_site_has_faithfulness_and_earlier_ones_retention(runner: "UpdateRunner") -> None:
    first, second = (saliency_of(runner, str(runner.update(site)["train"]["version"])) for site in ("north", "east"))
    assert set(first["north"].metrics) == set(second["east"].metrics) == FAITHFULNESS
    assert set(second["north"].metrics) == FAITHFULNESS | RETENTION
    assert first["north"].metrics["LearnedShare"].value == 1


def test_maps_of_a_sound_model_are_faithful_and_shown_and_random_ones_are_not(
    runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.network = NetworkSettings(size=(32, 32), options={"width": 8, "norm": "group"})
    runner.training = TrainingSettings(epochs=16, batch_size=8, learning_rate=5e-3, augment=False)
    runner.write_images("north")
    (runner.root / "sources" / "north" / "images.npz").write_bytes(striped_patches())
    version = str(runner.update("north")["train"]["version"])
    (north,) = runner.learned_sites
    assert is_faithful(saliency_of(runner, version)["north"].metrics)
    pictures = [picture for picture, _ in read_pictures(north, version)]
    assert len(pictures) >= 3
    assert all(picture.version_before == "" and picture.answer and picture.confidence for picture in pictures)

    store, explain = open_registry(runner.registry), ModelExplainer.explain
    for key in [info.key for info in store.list() if "/evaluations/" in info.key]:
        store.delete(key)

    def explain_by_chance(self: ModelExplainer, probes: Probes, class_indices: Tensor) -> AnswerMaps | None:
        maps = explain(self, probes, class_indices)
        return maps and replace(maps, whole=torch.rand(maps.whole.shape, generator=torch.Generator().manual_seed(1)))

    monkeypatch.setattr(ModelExplainer, "explain", explain_by_chance)
    (evaluation,) = evaluate_saliency(store, version, [north])
    assert set(evaluation.metrics) == FAITHFULNESS
    assert not is_faithful(evaluation.metrics)
    assert read_pictures(north, version) == ()


def test_frozen_features_have_nothing_to_retain(runner: "UpdateRunner") -> None:
    runner.method = "frozen_ridge"
    runner.update("north")
    version = str(runner.update("east")["train"]["version"])
    metrics = saliency_of(runner, version)["north"].metrics
    assert set(metrics) == FAITHFULNESS
    assert metrics["LearnedShare"].value == 0


def test_a_method_without_maps_is_not_waited_for(runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelExplainer, "explain", lambda *arguments: None)
    version = str(runner.update("north")["train"]["version"])
    assert saliency_of(runner, version)["north"].metrics == {}, "stored: it says that there is nothing to measure"


def test_probes_show_each_patient_before_any_second_image() -> None:
    ids = tuple(f"{number:03}" for number in range(90))
    patients = ("one",) * 60 + tuple(f"other {number}" for number in range(30))
    split = TensorSplit.of_images(torch.zeros(90, 1, 4, 4), torch.zeros(90, dtype=torch.long), ids)
    probes = select_probes(split, patients, (0, 1))
    assert len(probes.sample_ids) == 64
    assert len(set(probes.patients[:31])) == 31 == len(set(probes.patients))


def test_pictures_show_confident_failures_and_random_successes() -> None:
    ids = tuple("abcdefghij")
    probes = Probes({"OT": torch.zeros(10, 1, 2, 2)}, torch.zeros(10, dtype=torch.long), (0, 1), ids, ids)
    answered = torch.tensor([0, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    confidences = torch.tensor([0.9, 0.6, 0.9, 0.8, 0.7, 0.5, 0.9, 0.9, 0.9, 0.9])
    rows = choose_rows(probes, Answers(answered, confidences))
    assert rows[:3] == [2, 4, 1]
    assert len(set(rows[3:])) == 3
    assert not answered[rows[3:]].any()
    assert rows[3:] != [0, 3, 6]  # not the first ones
