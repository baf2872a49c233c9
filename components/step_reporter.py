"""Reports the events of a running step, one JSON object per line. Needs the standard library only."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from anamnesis.components.failure_record import record_failure
from anamnesis.records import AnamnesisError, InputError
from anamnesis.records.private_output import private_output
from anamnesis.records.safe_errors import describe_error, format_safe_traceback

EVENTS_VARIABLE = "ANAMNESIS_EVENTS"
"""Environment variable with the path of the event file; without it events go to standard output."""

_SECONDS_BETWEEN_EVENTS = 0.2
Event = dict[str, object]


class StepReporter:
    """Reports the progress of one step and, at its end, its outputs."""

    def __init__(self, name: str, emit: Callable[[Event], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.outputs: Mapping[str, object] = {}
        self._emit = emit
        self._clock = clock
        self._last_time = float("-inf")

    def progress(self, completed: int, total: int, unit: str) -> None:
        """Reports progress at most five times per second; the last report of a unit of work is never dropped."""
        current_time = self._clock()
        if completed < total and current_time - self._last_time < _SECONDS_BETWEEN_EVENTS:
            return
        self._last_time = current_time
        self._emit({"event": "progress", "step": self.name, "completed": completed, "total": total, "unit": unit})


@contextmanager
def report_step(name: str, request: str = "") -> Iterator[StepReporter]:
    """Reports start, progress, end and error of the step in the ``with`` block.

    An ``AnamnesisError`` is reported with its message. Any other error is reported with type and place only, because
    its text may quote patient data; it is raised as an ``AnamnesisError``, because Kubeflow logs the traceback. Inside
    the block nothing else reaches standard output: no warning, no log, no error of a thread or a worker.

    Args:
        name: of the step.
        request: the pipeline parameter ``request``; of an operator's run it names the registry that keeps the error.
    """
    write = _open_writer(os.environ.get(EVENTS_VARIABLE, ""))

    def emit(event: Event) -> None:
        write((json.dumps({"time": time.time(), **event}, allow_nan=False) + "\n").encode())

    step_reporter = StepReporter(name, emit)
    emit({"event": "start", "step": name})
    try:
        with private_output():
            yield step_reporter
    except Exception as error:
        exit_code = error.exit_code if isinstance(error, AnamnesisError) else AnamnesisError.exit_code
        message = describe_error(error)
        if isinstance(error, ModuleNotFoundError):
            message += ": this step needs the training image"
        emit({"event": "error", "step": name, "exit_code": exit_code, "message": message})
        if problem := record_failure(request, name, message, exit_code):
            emit({"event": "failure_not_recorded", "step": name, "message": problem})
        if isinstance(error, AnamnesisError):
            raise error from None  # its cause may quote a file
        raise AnamnesisError(f"{message}\n{format_safe_traceback(error)}") from None
    emit({"event": "end", "step": name, "outputs": step_reporter.outputs})


def read_request(request: str) -> dict[str, Any]:
    """Returns the encoded request that the pipeline parameter ``request`` holds as JSON.

    The parameter is a string because protobuf, which transports parameters, has no integers and no key order: the
    digest of a configuration would change.

    Raises:
        InputError: the text is not a JSON object.
    """
    try:
        value = json.loads(request)
    except json.JSONDecodeError as error:
        raise InputError(
            f"pipeline parameter request: invalid JSON: {error.msg} at character {error.pos}; pass the request as "
            "anamnesis wrote it"
        ) from None
    if not isinstance(value, dict):
        raise InputError(
            f"pipeline parameter request: expected a JSON object, found {type(value).__name__}; pass the request as "
            "anamnesis wrote it"
        )
    return value


def check_display_name(name: str, display_name: str, requested_name: str) -> None:
    """Checks the display name of a run against the name in its request; an empty display name is accepted.

    Raises:
        InputError: the names differ.
    """
    if display_name and display_name != requested_name:
        raise InputError(
            f"pipeline parameter {name}: expected {requested_name!r} as in the parameter request, found "
            f"{display_name!r}; correct {name}, or leave it empty"
        )


def _open_writer(path: str) -> Callable[[bytes], object]:
    if not path:
        return _write_to_stdout
    # O_APPEND and one write per line: lines of parallel steps never mix
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    return lambda line: os.write(descriptor, line)


def _write_to_stdout(line: bytes) -> None:
    sys.stdout.write(line.decode())
    sys.stdout.flush()
