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

from anamnesis.pipelines.compiled import CompiledPipeline, check_arguments, read_compiled
from anamnesis.pipelines.record import (
    LOG,
    RunRecord,
    State,
    StepRecord,
    apply,
    claimed,
    error_of,
    since,
    stopped,
    succeeded,
    utc,
    write_record,
)
from anamnesis.records import AnamnesisError, InputError, Progress, digest_json

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 3.0


def run_local(compiled: Path, arguments: Mapping[str, object], record_folder: Path, progress: Progress) -> RunRecord:
    """Runs a compiled pipeline to its end; several may run side by side, each in a process and a folder of its own.

    The folder gets ``run.json`` (the record, see ``record.py``), ``run.log`` (all that the steps print),
    ``events.jsonl``, ``arguments.json``, ``pipeline.yaml`` and ``outputs/``.

    Args:
        compiled: the compiled pipeline.
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
    pipeline = read_compiled(compiled)
    check_arguments(pipeline, arguments)
    with claimed(record_folder):
        shutil.copyfile(compiled, record_folder / "pipeline.yaml")
        (record_folder / "arguments.json").write_text(json.dumps(dict(arguments)), encoding="utf-8")
        record = _follow(record_folder, _first(record_folder, pipeline, arguments), progress)
    if record.state is not State.SUCCEEDED:
        raise error_of(record.exit_code, record.error)
    return record


def _first(folder: Path, pipeline: CompiledPipeline, arguments: Mapping[str, object]) -> RunRecord:
    return RunRecord(
        id=folder.resolve().name,
        pipeline=pipeline.name,
        compiled=pipeline.digest,
        arguments=digest_json(dict(arguments)),
        state=State.RUNNING,
        started=utc(time.time()),
        steps=tuple(StepRecord(name) for name in pipeline.steps),
    )


def _follow(folder: Path, record: RunRecord, progress: Progress) -> RunRecord:
    """Runs the child and writes the record as events come."""
    write_record(folder, record)
    codes: dict[str, int] = {}
    try:
        with _child(folder) as process, (folder / "events.jsonl").open("rb") as file:
            for event in _events(file, process):
                codes[str(event["step"])] = int(event.get("exit_code", 0))
                record = _take(folder, record, event, progress)
    except BaseException:
        write_record(folder, _timed(stopped(record, State.INTERRUPTED, "interrupted; run it again to go on")))
        raise
    record = _timed(_ended(folder, record, process.returncode, codes))
    write_record(folder, record)
    return record


def _take(folder: Path, record: RunRecord, event: Mapping[str, Any], progress: Progress) -> RunRecord:
    name, kind = event["step"], event["event"]
    if kind == "progress":
        progress(event["done"], event["total"], f"{name}: {event['what']}")
        return record
    record = apply(record, event)
    write_record(folder, record)
    if kind in ("start", "end"):
        progress(int(kind == "end"), 1, name)
    return record


def _timed(record: RunRecord) -> RunRecord:
    return replace(record, seconds=since(record.started, time.time()))


def _ended(folder: Path, record: RunRecord, returncode: int, codes: Mapping[str, int]) -> RunRecord:
    """Returns the record of a run whose process has ended with ``returncode``."""
    if returncode == 0:
        return succeeded(record)
    failed = [one for one in record.steps if one.state is State.FAILED]
    if failed:
        last = failed[-1]
        return replace(record, state=State.FAILED, error=f"{last.name}: {last.error}", exit_code=codes[last.name])
    running = [one.name for one in record.steps if one.state is State.RUNNING]
    what = f"{running[-1]}: ended without a word" if running else "a step could not be started"
    how = f"killed by {signal.Signals(-returncode).name}" if returncode < 0 else "killed, or out of memory"
    error = f"{what} ({how}); the log is {folder / LOG}"
    state = State.INTERRUPTED if returncode < 0 else State.FAILED
    return replace(stopped(record, state, error), exit_code=AnamnesisError.exit_code)


@contextmanager
def _child(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts the child in a process group of its own, and ends whatever is left of the group."""
    (folder / "events.jsonl").touch()
    # a short path, not below the folder: sockets that libraries put there may have 108 bytes
    temporary = tempfile.mkdtemp(prefix="anamnesis-")
    try:
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "anamnesis.pipelines.child", str(folder.resolve())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(folder, temporary),
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _end(process)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _environment(folder: Path, temporary: str) -> dict[str, str]:
    ours = {
        "ANAMNESIS_EVENTS": str((folder / "events.jsonl").resolve()),
        "PYTHONUNBUFFERED": "1",  # the log shows a step while it runs
        "TMPDIR": temporary,
    }
    # The threads of training are configuration; elsewhere one is enough, and runs side by side do not fight.
    return {"OMP_NUM_THREADS": "1", **os.environ, **ours}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process group: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    if process.stdin:
        process.stdin.close()
    process.wait()


def _events(file: Any, process: "subprocess.Popen[bytes]") -> Iterator[dict[str, Any]]:
    """Yields events as they come, until the process has ended and all were read."""
    rest = b""
    while True:
        ended = process.poll() is not None  # asked before reading: nothing is written after it
        rest += file.read()
        *lines, rest = rest.split(b"\n")
        for line in lines:
            yield _event(line)
        if ended:
            return
        time.sleep(_POLL_SECONDS)


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        event = None
    if not isinstance(event, dict) or "event" not in event or "step" not in event:
        raise InputError(f"events: not an event: {line[:80]!r}")
    return event
