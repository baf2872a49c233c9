import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., Any]


def test_evaluate_gives_metrics_with_intervals_once(call: Call, promoted_model_file: Path) -> None:
    first = json.loads(call("evaluate", "-f", promoted_model_file, "--json").out)
    assert {"AUROC", "Accuracy"} <= set(first[0]["metrics"])
    assert json.loads(call("evaluate", "-f", promoted_model_file, "--json").out) == first


def test_the_report_is_written_as_page_and_data(call: Call, promoted_model_file: Path, tmp_path: Path) -> None:
    result = call("report", "-f", promoted_model_file, "--folder", tmp_path / "report")
    assert result.out.split() == [str(tmp_path / "report" / name) for name in ("report.html", "model_card.md")]
    assert "chest" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report" / "report.json").read_bytes())["models"][0]["name"] == "chest"


def test_without_a_champion_there_is_nothing_to_ask(call: Call, model_file: Path) -> None:
    result = call("evaluate", "-f", model_file)
    assert (result.code, "there is no champion" in result.err) == (2, True)
