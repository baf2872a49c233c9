"""Runs a compiled pipeline on this machine, keeps a record of it and tells its progress."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from anamnesis.pipelines.compiled_pipeline import CompiledPipeline, check_arguments, read_compiled
from anamnesis.pipelines.run_record import (
    LOG_FILE,
    ExecutionState,
    RunRecord,
    StepRecord,
    apply_event,
    claim_folder,
    error_for_exit_code,
    format_utc,
    mark_stopped,
    mark_succeeded,
    seconds_since,
    write_record,
)
from anamnesis.records import AnamnesisError, InputError, Progress, digest_json

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 3.0


def run_local(
    pipeline_file: Path, arguments: Mapping[str, object], record_folder: Path, progress: Progress
) -> RunRecord:
    """Runs a compiled pipeline to its end; several may run side by side, each in a process and a folder of its own.

    The folder gets ``run.json`` (the record, see ``record.py``), ``run.log`` (all that the steps print),
    ``events.jsonl``, ``arguments.json``, ``pipeline.yaml`` and ``outputs/``.

    Args:
        pipeline_file: the compiled pipeline.
        arguments: of the pipeline.
        record_folder: a new folder for this run; its name is the run's id.
        progress: told what the steps tell, as ``<step>: <what>``; and 0 of 1 and 1 of 1 ``<step>`` around each.

    Returns:
        The record of a run that succeeded.

    Raises:
        AnamnesisError: a step failed; the class is that of the step's own error, and so is the message.
        InputError: the file or an argument is not what it should be.
        ConflictError: the folder has another run.
        KeyboardInterrupt: interrupted; all processes of the run have been ended and the record says so.
    """
    pipeline = read_compiled(pipeline_file)
    check_arguments(pipeline, arguments)
    with claim_folder(record_folder):
        shutil.copyfile(pipeline_file, record_folder / "pipeline.yaml")
        (record_folder / "arguments.json").write_text(json.dumps(dict(arguments)), encoding="utf-8")
        record = _run_child(record_folder, _new_record(record_folder, pipeline, arguments), progress)
    if record.state is not ExecutionState.SUCCEEDED:
        raise error_for_exit_code(record.exit_code, record.error)
    return record


def _new_record(folder: Path, pipeline: CompiledPipeline, arguments: Mapping[str, object]) -> RunRecord:
    return RunRecord(
        id=folder.resolve().name,
        pipeline=pipeline.name,
        pipeline_digest=pipeline.digest,
        arguments_digest=digest_json(dict(arguments)),
        state=ExecutionState.RUNNING,
        started=format_utc(time.time()),
        steps=tuple(StepRecord(name) for name in pipeline.steps),
    )


def _run_child(folder: Path, record: RunRecord, progress: Progress) -> RunRecord:
    """Runs the child and writes the record as events come."""
    write_record(folder, record)
    exit_codes: dict[str, int] = {}
    try:
        with _start_child(folder) as process, (folder / "events.jsonl").open("rb") as file:
            for event in _read_events(file, process):
                exit_codes[str(event["step"])] = int(event.get("exit_code", 0))
                record = _apply_event(folder, record, event, progress)
    except BaseException:
        write_record(
            folder,
            _with_duration(mark_stopped(record, ExecutionState.INTERRUPTED, "interrupted; run it again to go on")),
        )
        raise
    record = _with_duration(_finish_record(folder, record, process.returncode, exit_codes))
    write_record(folder, record)
    return record


def _apply_event(folder: Path, record: RunRecord, event: Mapping[str, Any], progress: Progress) -> RunRecord:
    name, kind = event["step"], event["event"]
    if kind == "progress":
        progress(event["completed"], event["total"], f"{name}: {event['unit']}")
        return record
    record = apply_event(record, event)
    write_record(folder, record)
    if kind in ("start", "end"):
        progress(int(kind == "end"), 1, name)
    return record


def _with_duration(record: RunRecord) -> RunRecord:
    return replace(record, seconds=seconds_since(record.started, time.time()))


def _finish_record(folder: Path, record: RunRecord, returncode: int, exit_codes: Mapping[str, int]) -> RunRecord:
    """Returns the record of a run whose process has ended with ``returncode``."""
    if returncode == 0:
        return mark_succeeded(record)
    failed_steps = [step for step in record.steps if step.state is ExecutionState.FAILED]
    if failed_steps:
        failed_step = failed_steps[-1]
        return replace(
            record,
            state=ExecutionState.FAILED,
            error=f"{failed_step.name}: {failed_step.error}",
            exit_code=exit_codes[failed_step.name],
        )
    running_steps = [step.name for step in record.steps if step.state is ExecutionState.RUNNING]
    problem = f"{running_steps[-1]}: ended without a word" if running_steps else "a step could not be started"
    cause = f"killed by {signal.Signals(-returncode).name}" if returncode < 0 else "killed, or out of memory"
    error = f"{problem} ({cause}); the log is {folder / LOG_FILE}"
    state = ExecutionState.INTERRUPTED if returncode < 0 else ExecutionState.FAILED
    return replace(mark_stopped(record, state, error), exit_code=AnamnesisError.exit_code)


@contextmanager
def _start_child(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts the child in a process group of its own, and ends whatever is left of the group."""
    (folder / "events.jsonl").touch()
    # a short path, not below the folder: sockets that libraries put there may have 108 bytes
    temporary = tempfile.mkdtemp(prefix="anamnesis-")
    try:
        with (folder / LOG_FILE).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "anamnesis.pipelines.runner_process", str(folder.resolve())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(folder, temporary),
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _end_process_group(process)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _environment(folder: Path, temporary: str) -> dict[str, str]:
    run_variables = {
        "ANAMNESIS_EVENTS": str((folder / "events.jsonl").resolve()),
        "PYTHONUNBUFFERED": "1",  # the log shows a step while it runs
        "TMPDIR": temporary,
    }
    # The threads of training are configuration; elsewhere one is enough, and runs side by side do not fight.
    return {"OMP_NUM_THREADS": "1", **os.environ, **run_variables}


def _end_process_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process group: politely, then not."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(_GRACE_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    if process.stdin:
        process.stdin.close()
    process.wait()


def _read_events(file: Any, process: "subprocess.Popen[bytes]") -> Iterator[dict[str, Any]]:
    """Yields events as they come, until the process has ended and all were read."""
    incomplete_line = b""
    while True:
        has_ended = process.poll() is not None  # asked before reading: nothing is written after it
        incomplete_line += file.read()
        *lines, incomplete_line = incomplete_line.split(b"\n")
        for line in lines:
            yield _parse_event(line)
        if has_ended:
            return
        time.sleep(_POLL_SECONDS)


def _parse_event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        event = None
    if not isinstance(event, dict) or "event" not in event or "step" not in event:
        raise InputError(f"events: not an event: {line[:80]!r}")
    return event
