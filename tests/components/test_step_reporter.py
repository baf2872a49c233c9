"""The events of a step."""

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.components.artifacts import finite_metrics
from anamnesis.components.step_reporter import EVENTS_VARIABLE, StepReporter, report_step
from anamnesis.records import AnamnesisError, ConflictError


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(EVENTS_VARIABLE, str(path))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in path.read_text().splitlines()]


def test_a_step_reports_start_progress_and_end(events: Path) -> None:
    with report_step("one") as running_step:
        running_step.progress(1, 1, "epochs")
        running_step.outputs = {"digest": "ü"}
    assert read(events) == [
        {"event": "start", "step": "one"},
        {"event": "progress", "step": "one", "completed": 1, "total": 1, "unit": "epochs"},
        {"event": "end", "step": "one", "outputs": {"digest": "ü"}},
    ]


def test_an_error_is_reported_and_raised(events: Path) -> None:
    with pytest.raises(ConflictError), report_step("one"):
        raise ConflictError("somebody else was first")
    assert read(events)[1:] == [{"event": "error", "step": "one", "exit_code": 4, "message": "somebody else was first"}]


def test_the_text_of_an_unexpected_error_is_kept_back(events: Path) -> None:
    with pytest.raises(AnamnesisError, match="unexpected ValueError in") as caught, report_step("one"):
        raise ValueError("patient 4711") from KeyError("SCHMIDT_ANNA")
    text = "".join(traceback.format_exception(caught.value))  # what Kubeflow's executor writes to the log
    assert "  test_step_reporter.py, line" in text
    assert "4711" not in text
    assert "SCHMIDT" not in text
    (event,) = read(events)[1:]
    assert (event["event"], event["exit_code"]) == ("error", 1)
    assert event["message"].startswith("unexpected ValueError in ")


def raise_with_cause() -> None:
    try:
        raise OSError("SCHMIDT_ANNA.dcm")
    except OSError as error:
        raise ConflictError("safe") from error


def test_the_cause_of_an_error_is_kept_back(events: Path) -> None:
    with pytest.raises(ConflictError, match="safe") as caught, report_step("one"):
        raise_with_cause()
    assert "SCHMIDT" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_package_is_reported(events: Path) -> None:
    with pytest.raises(AnamnesisError), report_step("one"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    assert "the package torch is not installed: this step needs the training image" in read(events)[-1]["message"]


def test_the_place_of_an_unexpected_error_is_in_our_own_code(events: Path) -> None:
    with pytest.raises(AnamnesisError), report_step("one"):
        finite_metrics(None)  # type: ignore[arg-type]
    message = read(events)[-1]["message"]
    assert message.startswith("unexpected AttributeError in anamnesis.components.artifacts, line ")


def test_without_a_file_events_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(EVENTS_VARIABLE, raising=False)
    with report_step("one"):
        pass
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["start", "end"]


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), min_size=1))
def test_progress_is_rare_but_never_leaves_out_an_end(calls: list[tuple[int, float]]) -> None:
    sent_events: list[dict[str, object]] = []
    clock_time = 0.0
    progress_step = StepReporter("one", sent_events.append, clock=lambda: clock_time)
    for completed, seconds in calls:
        clock_time += seconds
        progress_step.progress(completed, 20, "x")
    ends = sum(completed == 20 for completed, _ in calls)
    assert sum(event["completed"] == 20 for event in sent_events) == ends
    assert len(sent_events) - ends <= clock_time / 0.2 + 1


@given(st.dictionaries(st.text(), st.one_of(st.floats(), st.integers(-(2**53), 2**53), st.none(), st.text())))
def test_only_finite_numbers_are_kept(metrics: dict[str, object]) -> None:
    kept_metrics = finite_metrics(metrics)
    assert json.loads(json.dumps(kept_metrics, allow_nan=False)) == kept_metrics
    assert all(isinstance(metrics[name], int | float) for name in kept_metrics)
