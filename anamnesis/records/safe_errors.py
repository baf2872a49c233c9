"""Errors as text that may be logged. Errors of other libraries may quote a header, a file name or a secret."""

import traceback
from collections.abc import Iterator
from pathlib import Path

from anamnesis.records.errors import AnamnesisError

_PACKAGE = "anamnesis"


def describe_error(error: BaseException) -> str:
    """Returns the message of one of our own errors; of any other error its type and its place in our code."""
    if isinstance(error, AnamnesisError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is not installed"
    return f"unexpected {type(error).__name__} in {find_place(error)}"


def find_place(error: BaseException) -> str:
    """Returns the innermost line of our own code in the traceback of an error."""
    place = "the program"
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(f"{_PACKAGE}."):
            place = f"{module}, line {line}"
    return place


def format_safe_traceback(error: BaseException) -> str:
    """Returns the traceback of an error and of its causes: places and types, and the messages of our own errors."""
    return "\n".join(line for cause in _iter_causes(error) for line in _format_error(cause))


def _format_error(error: BaseException) -> Iterator[str]:
    message = f": {error}" if isinstance(error, AnamnesisError) else ""
    yield f"{type(error).__name__}{message}"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"


def _iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    visited_ids: set[int] = set()
    while error is not None and id(error) not in visited_ids:
        visited_ids.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
