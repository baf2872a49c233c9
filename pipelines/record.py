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

FILE = "run.json"
LOG = "run.log"


class State(StrEnum):
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
    state: State = State.PENDING
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
        compiled: digest of the compiled file.
        arguments: digest of the arguments.
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
    compiled: str
    arguments: str
    state: State
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
        for one in self.steps:
            if one.name == name:
                return one
        raise InputError(f"run {self.id}: no step {name!r}; there are {', '.join(one.name for one in self.steps)}")


def apply(record: RunRecord, event: Mapping[str, object]) -> RunRecord:
    """Returns the record after one event of a step (see ``anamnesis.components.step``)."""
    name, time = str(event["step"]), float(str(event["time"]))
    known = {one.name: one for one in record.steps}
    before = known.get(name, StepRecord(name))
    known[name] = _after(before, event, time)
    return replace(record, steps=tuple(known.values()))


def _after(before: StepRecord, event: Mapping[str, object], time: float) -> StepRecord:
    match event["event"]:
        case "start":
            return StepRecord(before.name, State.RUNNING, utc(time))
        case "end":
            outputs = decode(dict[str, object], event["outputs"], "outputs")
            return replace(before, state=State.SUCCEEDED, seconds=since(before.started, time), outputs=outputs)
        case "error":
            error = str(event["message"])
            return replace(before, state=State.FAILED, seconds=since(before.started, time), error=error)
    return before


def succeeded(record: RunRecord) -> RunRecord:
    """Returns the record of a run that has done all there was to do."""
    steps = tuple(replace(one, state=State.SKIPPED) if one.state is State.PENDING else one for one in record.steps)
    return replace(record, state=State.SUCCEEDED, steps=steps)


def stopped(record: RunRecord, state: State, error: str) -> RunRecord:
    """Returns the record with every step that still runs in ``state``, for a run that can go on no more."""
    steps = tuple(replace(one, state=state, error=error) if one.state is State.RUNNING else one for one in record.steps)
    return replace(record, state=state, steps=steps, error=error)


def utc(time: float) -> str:
    """Returns seconds since 1970 as UTC, ISO 8601, milliseconds."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


def since(started: str, time: float) -> float:
    """Returns the seconds from ``started`` to ``time``, to milliseconds."""
    return round(time - datetime.fromisoformat(started).timestamp(), 3) if started else 0.0


def write_record(folder: Path, record: RunRecord) -> None:
    """Writes the record so that a reader sees the old one or the new one, never half of one."""
    temporary = folder / (FILE + ".new")
    temporary.write_text(json.dumps(encode(record), indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / FILE)


def read_record(folder: Path) -> RunRecord:
    """Returns the record of the run in ``folder``; one that stopped without a word reads as interrupted.

    Raises:
        InputError: there is none, or it is no run record.
    """
    record = _read(folder)
    if record.state is State.RUNNING and not _alive(folder):
        record = _read(folder)  # it may have ended between the two looks
    if record.state is State.RUNNING and not _alive(folder):
        return stopped(record, State.INTERRUPTED, "its process is gone; run it again to go on")
    return record


def read_records(root: Path) -> tuple[RunRecord, ...]:
    """Returns the records of all runs below ``root``, in the order of their start."""
    found = (read_record(path.parent) for path in root.glob(f"*/{FILE}"))
    return tuple(sorted(found, key=lambda record: (record.started, record.id)))


def _read(folder: Path) -> RunRecord:
    path = folder / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no run record") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON, {error.msg}") from None
    return decode(RunRecord, value, str(path))


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
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
        if (folder / FILE).exists():
            raise ConflictError(f"{folder}: holds a run already; give each run a folder of its own")
        yield


def _alive(folder: Path) -> bool:
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


def error_of(exit_code: int, message: str) -> AnamnesisError:
    """Returns the error that a step's exit code stands for."""
    kinds = {kind.exit_code: kind for kind in (InputError, RefusedError, ConflictError, IntegrityError)}
    return kinds.get(exit_code, AnamnesisError)(message)
