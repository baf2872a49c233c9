import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def test_evaluate_gives_metrics_with_intervals_once(call: Call, promoted_model_file: Path) -> None:
    first = json.loads(call("evaluate", "-f", promoted_model_file, "--json").out)
    assert {"AUROC", "Accuracy"} <= set(first[0]["metrics"])
    assert json.loads(call("evaluate", "-f", promoted_model_file, "--json").out) == first


def test_the_report_is_written_as_page_and_data(call: Call, promoted_model_file: Path, tmp_path: Path) -> None:
    result = call("report", "-f", promoted_model_file, "--folder", tmp_path / "report")
    assert result.out.strip() == str(tmp_path / "report" / "report.html")
    assert "chest" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report" / "report.json").read_bytes())["models"][0]["name"] == "chest"


def test_predict_answers_for_one_study_and_stores_nothing(call: Call, promoted_model_file: Path) -> None:
    folder = promoted_model_file.parent
    before = sorted(folder.rglob("*"))
    answer = json.loads(call("predict", "-f", promoted_model_file, next((folder / "data").rglob("IM*")), "--json").out)
    assert set(answer["probabilities"]) == {"phantom/normal", "phantom/opacity"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert sorted(folder.rglob("*")) == before


def test_predict_names_what_is_wrong(call: Call, promoted_model_file: Path, model_file: Path) -> None:
    study = next((promoted_model_file.parent / "data").rglob("IM*"))
    result = call("predict", "-f", promoted_model_file, study, "--task", "other")
    assert (result.code, "--task: expected one of phantom, found 'other'" in result.err) == (2, True)
    broken = promoted_model_file.parent / "broken.dcm"
    broken.write_bytes(b"\0" * 200)
    assert call("predict", "-f", promoted_model_file, broken).code == 2


def test_without_a_champion_there_is_nothing_to_ask(call: Call, model_file: Path) -> None:
    result = call("evaluate", "-f", model_file)
    assert (result.code, "there is no champion" in result.err) == (2, True)
