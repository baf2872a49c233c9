"""The events of a step."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.components.artifacts import finite
from anamnesis.components.step import EVENTS, Step, step
from anamnesis.records import ConflictError


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(EVENTS, str(path))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in path.read_text().splitlines()]


def test_a_step_tells_its_start_progress_and_end(events: Path) -> None:
    with step("one") as this:
        this.progress(1, 1, "epochs")
        this.outputs = {"digest": "ü"}
    assert read(events) == [
        {"event": "start", "step": "one"},
        {"event": "progress", "step": "one", "done": 1, "total": 1, "what": "epochs"},
        {"event": "end", "step": "one", "outputs": {"digest": "ü"}},
    ]


def test_an_error_is_told_and_goes_on(events: Path) -> None:
    with pytest.raises(ConflictError), step("one"):
        raise ConflictError("somebody else was first")
    assert read(events)[1:] == [{"event": "error", "step": "one", "exit_code": 4, "message": "somebody else was first"}]


def test_the_text_of_an_unexpected_error_is_kept_back(events: Path) -> None:
    with pytest.raises(ValueError, match="4711"), step("one"):
        raise ValueError("patient 4711")
    assert read(events)[1:] == [
        {"event": "error", "step": "one", "exit_code": 1, "message": "unexpected ValueError in the component"}
    ]


def test_an_image_without_what_a_step_needs_is_told(events: Path) -> None:
    with pytest.raises(ModuleNotFoundError), step("one"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    assert "the package torch is not installed here" in read(events)[-1]["message"]


def test_the_place_of_an_unexpected_error_is_in_our_own_code(events: Path) -> None:
    with pytest.raises(AttributeError), step("one"):
        finite(None)  # type: ignore[arg-type]
    message = read(events)[-1]["message"]
    assert message.startswith("unexpected AttributeError in anamnesis.components.artifacts, line ")


def test_without_a_file_events_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(EVENTS, raising=False)
    with step("one"):
        pass
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["start", "end"]


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), min_size=1))
def test_progress_is_rare_but_never_leaves_out_an_end(calls: list[tuple[int, float]]) -> None:
    told: list[dict[str, object]] = []
    now = 0.0
    one = Step("one", told.append, clock=lambda: now)
    for done, seconds in calls:
        now += seconds
        one.progress(done, 20, "x")
    ends = sum(done == 20 for done, _ in calls)
    assert sum(event["done"] == 20 for event in told) == ends
    assert len(told) - ends <= now / 0.2 + 1


@given(st.dictionaries(st.text(), st.one_of(st.floats(), st.integers(-(2**53), 2**53), st.none(), st.text())))
def test_only_finite_numbers_are_kept(metrics: dict[str, object]) -> None:
    kept = finite(metrics)
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert all(isinstance(metrics[name], int | float) for name in kept)
