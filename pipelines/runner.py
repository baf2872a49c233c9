"""Runs a compiled pipeline on this machine, records it and reports its progress."""

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
    """Runs a compiled pipeline to its end. Several runs may go in parallel, each in its own process and folder.

    The folder receives ``run.json`` (the record, see ``run_record.py``), ``run.log`` (the output of the steps),
    ``events.jsonl``, ``arguments.json``, ``pipeline.yaml`` and ``outputs/``.

    Args:
        pipeline_file: the compiled pipeline.
        arguments: arguments of the pipeline.
        record_folder: a new folder for this run; its name is the run's id.
        progress: receives the progress of each step with the unit ``<step>: <unit>``, and 0 of 1 and 1 of 1 ``<step>``
            at its start and end.

    Returns:
        The record of a run that succeeded.

    Raises:
        AnamnesisError: a step failed; class and message are those of the step's error.
        InputError: the file or an argument is not valid.
        ConflictError: another run uses the folder.
        KeyboardInterrupt: interrupted; all processes of the run have ended and the record says so.
    """
    pipeline = read_compiled(pipeline_file)
    check_arguments(pipeline, arguments)
    with claim_folder(record_folder):
        shutil.copyfile(pipeline_file, record_folder / "pipeline.yaml")
        (record_folder / "arguments.json").write_text(json.dumps(dict(arguments)), encoding="utf-8")
        record = _run_process(record_folder, _new_record(record_folder, pipeline, arguments), progress)
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


def _run_process(folder: Path, record: RunRecord, progress: Progress) -> RunRecord:
    """Runs the process and updates the record after every event."""
    write_record(folder, record)
    exit_codes: dict[str, int] = {}
    try:
        with _start_process(folder) as process, (folder / "events.jsonl").open("rb") as file:
            for event in _read_events(file, process):
                exit_codes[str(event["step"])] = int(event.get("exit_code", 0))
                record = _apply_event(folder, record, event, progress)
    except BaseException:
        write_record(
            folder,
            _with_duration(
                mark_stopped(
                    record, ExecutionState.INTERRUPTED, "the run was interrupted; start the update again to continue"
                )
            ),
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
    """Returns the record of a run after its process ended with ``returncode``."""
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
    problem = (
        f"{running_steps[-1]}: exited without reporting a result" if running_steps else "a step could not be started"
    )
    cause = f"killed by {signal.Signals(-returncode).name}" if returncode < 0 else "killed, or out of memory"
    error = f"{problem} ({cause}); see the log {folder / LOG_FILE}"
    state = ExecutionState.INTERRUPTED if returncode < 0 else ExecutionState.FAILED
    return replace(mark_stopped(record, state, error), exit_code=AnamnesisError.exit_code)


@contextmanager
def _start_process(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts the process in its own process group, and ends the whole group afterwards."""
    (folder / "events.jsonl").touch()
    # a short path, because the path of a socket may have 108 bytes at most
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
    # Training takes its number of threads from the configuration; one thread is enough elsewhere.
    return {"OMP_NUM_THREADS": "1", **os.environ, **run_variables}


def _end_process_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process group with SIGTERM, then with SIGKILL."""
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
    """Yields events until the process has ended and all events were read."""
    incomplete_line = b""
    while True:
        has_ended = process.poll() is not None  # checked before reading, so that no event is missed
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
        raise InputError(
            f"events.jsonl: expected an event of a step, found {line[:80]!r}: this is a fault of the program; report "
            "it with the log"
        )
    return event
