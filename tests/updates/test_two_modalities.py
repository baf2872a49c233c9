"""A site whose samples have an image of each of two modalities: files, update, evaluation, prediction."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders.dicom_series import write_series
from builders.learning import NoOptions, TwoInputs

from anamnesis.local.prediction import StudyPrediction
from anamnesis.local.prediction_scope import AnsweredBy, AnswerScope
from anamnesis.local.study_answers import answer_studies
from anamnesis.local.study_files import open_study_files
from anamnesis.local.study_images import LACKS_MODALITY, NOT_READ, choose_images
from anamnesis.methods import registered_methods
from anamnesis.registry import read_evaluations
from anamnesis.storage import open_store
from anamnesis.updates.model import load_model

if TYPE_CHECKING:
    from conftest import UpdateRunner


@pytest.fixture
def pairs(runner: "UpdateRunner", monkeypatch: pytest.MonkeyPatch) -> "UpdateRunner":
    registered_methods()
    monkeypatch.setattr(TwoInputs, "options_class", NoOptions, raising=False)
    monkeypatch.setitem(importlib.import_module("anamnesis.methods.register")._METHODS, "two_inputs", TwoInputs)
    runner.modalities = ("CT", "PT")
    for patient in range(60):
        for modality in runner.modalities:
            folder = runner.root / "sources" / "north" / ("left", "right")[patient % 2] / f"p{patient}"
            write_series(folder, patient, slices=1, modality=modality)
    return runner


def predict(runner: "UpdateRunner", folder: Path) -> StudyPrediction:
    model = load_model(open_store(runner.registry), runner.base)
    with open_study_files(folder) as files:
        studies = choose_images(files, [runner.config("north")], model.method.capabilities)
        unanswered = [StudyPrediction("", 1, runner.base, 0, study.files, study.left_out) for study in studies]
        scopes = [AnswerScope(AnsweredBy.SITE, ("north",))] * len(studies)
        (prediction,) = answer_studies(model, studies, scopes, model.operating_points, unanswered)
    return prediction


def test_a_method_of_several_modalities_reads_both(pairs: "UpdateRunner", tmp_path: Path) -> None:
    pairs.method = "two_inputs"
    version = str(pairs.update("north")["train"]["version"])
    evaluations = read_evaluations(open_store(pairs.registry), version)
    assert [evaluation.name for evaluation in evaluations if "Accuracy" in evaluation.metrics] == ["forgetting"]
    study = tmp_path / "study"
    for modality in pairs.modalities:
        write_series(study, 99, slices=1, modality=modality)
    prediction = predict(pairs, study)
    assert (prediction.images, prediction.left_out) == (1, {})
    for file in study.glob("PT*"):
        file.unlink()
    prediction = predict(pairs, study)
    assert (prediction.images, prediction.answer, prediction.left_out) == (0, "", {LACKS_MODALITY: 1})


def test_any_other_method_reads_the_first_and_says_so(pairs: "UpdateRunner", tmp_path: Path) -> None:
    pairs.update("north")
    for modality in pairs.modalities:
        write_series(tmp_path / "study", 99, slices=1, modality=modality)
    prediction = predict(pairs, tmp_path / "study")
    assert (prediction.images, prediction.left_out) == (1, {NOT_READ: 1})
