"""What a step tells the outside while it runs: events, one JSON object a line. Needs the standard library only."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from anamnesis.records import AnamnesisError, InputError

EVENTS = "ANAMNESIS_EVENTS"
"""Environment variable: path of the file that events are appended to; without it they go to standard output."""

_SECONDS_BETWEEN = 0.2
Event = dict[str, object]


class Step:
    """One step at work: reports progress and, at its end, its outputs."""

    def __init__(self, name: str, emit: Callable[[Event], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.outputs: Mapping[str, object] = {}
        self._emit = emit
        self._clock = clock
        self._last = float("-inf")

    def progress(self, done: int, total: int, what: str) -> None:
        """Reports progress, at most five times a second; the end of a unit of work is never left out."""
        now = self._clock()
        if done < total and now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        self._emit({"event": "progress", "step": self.name, "done": done, "total": total, "what": what})


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Tells start, progress, end and error of the step that runs inside.

    The error of an ``AnamnesisError`` is its message, written for people. Of any other only its type and the place are
    told: its text may quote data.
    """
    write = _writer(os.environ.get(EVENTS, ""))

    def emit(event: Event) -> None:
        write((json.dumps({"time": time.time(), **event}, allow_nan=False) + "\n").encode())

    this = Step(name, emit)
    emit({"event": "start", "step": name})
    try:
        yield this
    except AnamnesisError as error:
        emit({"event": "error", "step": name, "exit_code": error.exit_code, "message": str(error)})
        raise
    except ModuleNotFoundError as error:
        message = f"the package {error.name} is not installed here: this step needs the training image"
        emit({"event": "error", "step": name, "exit_code": AnamnesisError.exit_code, "message": message})
        raise
    except Exception as error:
        message = f"unexpected {type(error).__name__} in {_place(error.__traceback__)}"
        emit({"event": "error", "step": name, "exit_code": AnamnesisError.exit_code, "message": message})
        raise
    emit({"event": "end", "step": name, "outputs": this.outputs})


def read_request(request: str) -> dict[str, Any]:
    """Returns the encoded request that the pipeline parameter ``request`` holds as JSON.

    It travels as a string because protobuf, which carries parameters, knows no integers and no order of keys: the
    digest of a configuration must not change on the way.

    Raises:
        InputError: it is not a JSON object.
    """
    try:
        value = json.loads(request)
    except json.JSONDecodeError as error:
        raise InputError(f"request: not JSON, {error.msg} at character {error.pos}") from None
    if not isinstance(value, dict):
        raise InputError(f"request: expected a JSON object, found {type(value).__name__}")
    return value


def check_shown(name: str, shown: str, asked: str) -> None:
    """Checks a name that people are shown beside a run against the one in its request; an empty one says nothing.

    Raises:
        InputError: they differ.
    """
    if shown and shown != asked:
        raise InputError(f"{name}: {shown!r} was given, but the request is for {asked!r}; change both or neither")


def _writer(path: str) -> Callable[[bytes], object]:
    if not path:
        return _print
    # O_APPEND and one write a line: lines of steps that run side by side never mix
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    return lambda line: os.write(descriptor, line)


def _print(line: bytes) -> None:
    sys.stdout.write(line.decode())
    sys.stdout.flush()


def _place(traceback: TracebackType | None) -> str:
    """Returns the innermost line of our own code that the error passed through."""
    place = "the component"
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.startswith("anamnesis.") and module != __name__:
            place = f"{module}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
