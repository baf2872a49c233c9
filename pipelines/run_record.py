"""The record of a run: ``run.json`` in the folder of the run, updated after every event."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
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
SCHEMA = 2
"""Version of the format of ``run.json``."""


class ExecutionState(StrEnum):
    """State of a run or a step."""

    PENDING = "Pending"
    """Not started."""
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SKIPPED = "Skipped"
    """A step that a successful run did not need, because an earlier step found nothing to do."""
    FAILED = "Failed"
    INTERRUPTED = "Interrupted"
    """Stopped from outside; running the same request again continues it."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step.

    Attributes:
        name: name of the component.
        state: see ``ExecutionState``.
        started: UTC, ISO 8601; empty while pending.
        seconds: from start to end.
        outputs: outputs of the step as JSON values.
        error: message of the error.
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
        state: see ``ExecutionState``.
        started: UTC, ISO 8601.
        steps: steps in the order of execution.
        seconds: from start to end.
        error: message of the error.
        exit_code: 0, or the exit code of the ``AnamnesisError``.
        schema: version of the format of this record.
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
    schema: int = SCHEMA

    def step(self, name: str) -> StepRecord:
        """Returns the step called ``name``.

        Raises:
            InputError: the run has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise InputError(
            f"run {self.id}: no step {name!r} among {', '.join(step.name for step in self.steps)}: this is a fault of "
            "the program; report it with the log"
        )


def apply_event(record: RunRecord, event: Mapping[str, object]) -> RunRecord:
    """Returns the record after an event of a step (see ``anamnesis.components.step_reporter``)."""
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
    """Returns the record of a run that succeeded."""
    steps = tuple(
        replace(step, state=ExecutionState.SKIPPED) if step.state is ExecutionState.PENDING else step
        for step in record.steps
    )
    return replace(record, state=ExecutionState.SUCCEEDED, steps=steps)


def mark_stopped(record: RunRecord, state: ExecutionState, error: str) -> RunRecord:
    """Returns the record of a run that stopped: running steps get ``state`` and ``error``."""
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
    """Writes the record atomically: a reader sees the old or the new record."""
    temporary = folder / (RECORD_FILE + ".new")
    temporary.write_text(json.dumps(encode(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / RECORD_FILE)


def read_record(folder: Path) -> RunRecord:
    """Returns the record of the run in ``folder``; a run whose process is gone is returned as interrupted.

    Raises:
        InputError: the record is missing, not valid, or of another schema.
    """
    record = _read_file(folder)
    if record.state is ExecutionState.RUNNING and not _is_alive(folder):
        record = _read_file(folder)  # the run may have ended between the two checks
    if record.state is ExecutionState.RUNNING and not _is_alive(folder):
        return mark_stopped(
            record, ExecutionState.INTERRUPTED, "the process of the run has ended; start the update again to continue"
        )
    return record


def read_records(root: Path, report_problem: Callable[[str], None] = lambda problem: None) -> tuple[RunRecord, ...]:
    """Returns the readable records of all runs below ``root``, in the order of their start.

    Args:
        root: the folder of the runs.
        report_problem: called with the reason for each record that is not readable, for example of another release.
    """
    records = []
    for path in sorted(root.glob(f"*/{RECORD_FILE}")):
        try:
            records.append(read_record(path.parent))
        except InputError as error:
            report_problem(str(error))
    return tuple(sorted(records, key=lambda record: (record.started, record.id)))


def _read_file(folder: Path) -> RunRecord:
    path = folder / RECORD_FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: the run record does not exist; correct the folder of the run, or start the update again"
        ) from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: invalid JSON: {error.msg}; delete the folder of this one run: {folder}") from None
    if isinstance(value, dict) and (schema := value.get("schema")) != SCHEMA:
        raise InputError(
            f"{path}: expected schema {SCHEMA} of a run record, found {schema}, of another release; delete the folder "
            f"of this one run: {folder}"
        )
    return decode(RunRecord, value, str(path))


@contextmanager
def claim_folder(folder: Path) -> Iterator[None]:
    """Locks ``folder`` for one run; readers use the lock to see that the run is alive.

    Raises:
        ConflictError: another run uses or used the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                f"{folder}: another run uses this folder; wait until that run ends, then try again"
            ) from None
        if (folder / RECORD_FILE).exists():
            raise ConflictError(f"{folder}: the folder already contains a run; give the new run an empty folder")
        yield


def _is_alive(folder: Path) -> bool:
    """Whether the process that locked ``folder`` still runs; the system drops the lock when the process ends."""
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
    """Returns the error with the class that belongs to an exit code."""
    error_classes = {
        error_class.exit_code: error_class for error_class in (InputError, RefusedError, ConflictError, IntegrityError)
    }
    return error_classes.get(exit_code, AnamnesisError)(message)
