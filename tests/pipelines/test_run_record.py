"""The run record: events update it, and it distinguishes a running run from an interrupted one."""

import json
from pathlib import Path

import pytest

from anamnesis.pipelines.run_record import (
    ExecutionState,
    RunRecord,
    StepRecord,
    apply_event,
    claim_folder,
    error_for_exit_code,
    format_utc,
    mark_stopped,
    read_record,
    read_records,
    write_record,
)
from anamnesis.records import AnamnesisError, ConflictError, InputError, IntegrityError, RefusedError

DIGEST = "sha256:" + "0" * 64
BEGUN = RunRecord(
    id="one",
    pipeline="p",
    pipeline_digest=DIGEST,
    arguments_digest=DIGEST,
    state=ExecutionState.RUNNING,
    started=format_utc(100.0),
    steps=(StepRecord("a"), StepRecord("b")),
)


def test_events_update_the_record() -> None:
    record = apply_event(BEGUN, {"event": "start", "step": "a", "time": 101.0})
    assert (record.step("a").state, record.step("a").started) == (
        ExecutionState.RUNNING,
        "1970-01-01T00:01:41.000+00:00",
    )
    record = apply_event(
        record, {"event": "progress", "step": "a", "time": 102.0, "completed": 1, "total": 2, "unit": "x"}
    )
    assert record.step("a").state is ExecutionState.RUNNING
    record = apply_event(record, {"event": "end", "step": "a", "time": 103.5, "outputs": {"x": 1}})
    assert (record.step("a").seconds, record.step("a").outputs) == (2.5, {"x": 1})
    record = apply_event(
        apply_event(record, {"event": "start", "step": "b", "time": 104.0}),
        {"event": "start", "step": "b", "time": 105.0},
    )
    record = apply_event(record, {"event": "error", "step": "b", "time": 106.0, "message": "no"})
    assert (record.step("b").state, record.step("b").seconds, record.step("b").error) == (
        ExecutionState.FAILED,
        1.0,
        "no",
    )
    assert apply_event(record, {"event": "start", "step": "c", "time": 107.0}).step("c").state is ExecutionState.RUNNING
    with pytest.raises(InputError, match="no step 'z' among a, b"):
        record.step("z")


def test_stopping_changes_only_running_steps() -> None:
    record = mark_stopped(
        apply_event(BEGUN, {"event": "start", "step": "a", "time": 1.0}), ExecutionState.INTERRUPTED, "gone"
    )
    assert [step.state for step in record.steps] == [ExecutionState.INTERRUPTED, ExecutionState.PENDING]


def test_a_running_record_lives_as_long_as_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with claim_folder(folder):
        write_record(folder, BEGUN)
        assert read_record(folder) == BEGUN
        with pytest.raises(ConflictError, match="another run uses this folder"), claim_folder(folder):
            pass
    assert read_record(folder).state is ExecutionState.INTERRUPTED
    assert json.loads((folder / "run.json").read_text())["state"] == "Running"
    assert [record.id for record in read_records(tmp_path)] == ["one"]


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the run record does not exist"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text('{"id": 1, "schema": 2}')
    with pytest.raises(InputError, match=r"run\.json\.id: expected a text, found 1"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text('{"id": "one", "schema": 1}')
    with pytest.raises(InputError, match=r"run\.json: expected schema 2 of a run record, found 1, .*delete the folder"):
        read_record(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="invalid JSON"):
        read_record(tmp_path)


@pytest.mark.parametrize("kind", [AnamnesisError, InputError, RefusedError, ConflictError, IntegrityError])
def test_an_exit_code_names_its_error(kind: type[AnamnesisError]) -> None:
    assert type(error_for_exit_code(kind.exit_code, "x")) is kind
    assert type(error_for_exit_code(99, "x")) is AnamnesisError
