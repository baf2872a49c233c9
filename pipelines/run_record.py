"""What is written of a run while it runs: ``run.json`` in the run's own folder. Pure but for reading and writing it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from anamnesis.records import (
    AnamnesisError,
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    decode,
    encode,
)

RECORD_FILE = "run.json"
LOG_FILE = "run.log"


class ExecutionState(StrEnum):
    """Of a run or a step."""

    PENDING = "Pending"
    """Not begun; in a run that has failed: never begun."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    """A step of a run that succeeded without it: an earlier step found nothing left to do."""
    FAILED = "Failed"
    INTERRUPTED = "Interrupted"
    """Stopped from outside; the same request can be run again and goes on where it was."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step.

    Attributes:
        name: of the component.
        state: see ``State``.
        started: UTC, ISO 8601; empty while pending.
        seconds: from its start to its end.
        outputs: what the step returned, as JSON values.
        error: its message, for people.
    """

    name: str
    state: ExecutionState = ExecutionState.PENDING
    started: str = ""
    seconds: float = 0.0
    outputs: Mapping[str, object] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a compiled pipeline on this machine.

    Attributes:
        id: name of the run's folder.
        pipeline: name of the pipeline.
        pipeline_digest: digest of the compiled file.
        arguments_digest: digest of the arguments.
        state: see ``State``.
        started: UTC, ISO 8601.
        steps: in the order in which they run.
        seconds: from start to end.
        error: why it failed, for people.
        exit_code: of the command that ran it: 0, or that of the ``AnamnesisError``.
        schema: of this record.
    """

    id: str
    pipeline: str
    pipeline_digest: str
    arguments_digest: str
    state: ExecutionState
    started: str
    steps: tuple[StepRecord, ...]
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 0
    schema: int = 1

    def step(self, name: str) -> StepRecord:
        """Returns the step called ``name``.

        Raises:
            InputError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise InputError(f"run {self.id}: no step {name!r}; there are {', '.join(step.name for step in self.steps)}")


def apply_event(record: RunRecord, event: Mapping[str, object]) -> RunRecord:
    """Returns the record after one event of a step (see ``anamnesis.components.step_reporter``)."""
    name, time = str(event["step"]), float(str(event["time"]))
    steps = {step.name: step for step in record.steps}
    step_record = steps.get(name, StepRecord(name))
    steps[name] = _apply_to_step(step_record, event, time)
    return replace(record, steps=tuple(steps.values()))


def _apply_to_step(step: StepRecord, event: Mapping[str, object], time: float) -> StepRecord:
    match event["event"]:
        case "start":
            return StepRecord(step.name, ExecutionState.RUNNING, format_utc(time))
        case "end":
            outputs = decode(dict[str, object], event["outputs"], "outputs")
            return replace(
                step, state=ExecutionState.SUCCEEDED, seconds=seconds_since(step.started, time), outputs=outputs
            )
        case "error":
            error = str(event["message"])
            return replace(step, state=ExecutionState.FAILED, seconds=seconds_since(step.started, time), error=error)
    return step


def mark_succeeded(record: RunRecord) -> RunRecord:
    """Returns the record of a run that has done all there was to do."""
    steps = tuple(
        replace(step, state=ExecutionState.SKIPPED) if step.state is ExecutionState.PENDING else step
        for step in record.steps
    )
    return replace(record, state=ExecutionState.SUCCEEDED, steps=steps)


def mark_stopped(record: RunRecord, state: ExecutionState, error: str) -> RunRecord:
    """Returns the record with every step that still runs in ``state``, for a run that can go on no more."""
    steps = tuple(
        replace(step, state=state, error=error) if step.state is ExecutionState.RUNNING else step
        for step in record.steps
    )
    return replace(record, state=state, steps=steps, error=error)


def format_utc(time: float) -> str:
    """Returns seconds since 1970 as UTC, ISO 8601, milliseconds."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


def seconds_since(started: str, time: float) -> float:
    """Returns the seconds from ``started`` to ``time``, to milliseconds."""
    return round(time - datetime.fromisoformat(started).timestamp(), 3) if started else 0.0


def write_record(folder: Path, record: RunRecord) -> None:
    """Writes the record so that a reader sees the old one or the new one, never half of one."""
    temporary = folder / (RECORD_FILE + ".new")
    temporary.write_text(json.dumps(encode(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / RECORD_FILE)


def read_record(folder: Path) -> RunRecord:
    """Returns the record of the run in ``folder``; one that stopped without a word reads as interrupted.

    Raises:
        InputError: there is none, or it is no run record.
    """
    record = _read_file(folder)
    if record.state is ExecutionState.RUNNING and not _is_alive(folder):
        record = _read_file(folder)  # it may have ended between the two looks
    if record.state is ExecutionState.RUNNING and not _is_alive(folder):
        return mark_stopped(record, ExecutionState.INTERRUPTED, "its process is gone; run it again to go on")
    return record


def read_records(root: Path) -> tuple[RunRecord, ...]:
    """Returns the records of all runs below ``root``, in the order of their start."""
    records = (read_record(path.parent) for path in root.glob(f"*/{RECORD_FILE}"))
    return tuple(sorted(records, key=lambda record: (record.started, record.id)))


def _read_file(folder: Path) -> RunRecord:
    path = folder / RECORD_FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no run record") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON, {error.msg}") from None
    return decode(RunRecord, value, str(path))


@contextmanager
def claim_folder(folder: Path) -> Iterator[None]:
    """Makes ``folder`` the folder of this run alone; the lock also tells readers that the run is alive.

    Raises:
        ConflictError: another run has it, or had it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"{folder}: another run is going on here") from None
        if (folder / RECORD_FILE).exists():
            raise ConflictError(f"{folder}: holds a run already; give each run a folder of its own")
        yield


def _is_alive(folder: Path) -> bool:
    """Whether the process that claimed ``folder`` still runs: the system drops its lock however it ends."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def error_for_exit_code(exit_code: int, message: str) -> AnamnesisError:
    """Returns the error that a step's exit code stands for."""
    error_classes = {
        error_class.exit_code: error_class for error_class in (InputError, RefusedError, ConflictError, IntegrityError)
    }
    return error_classes.get(exit_code, AnamnesisError)(message)
