"""The results of a sequence in one JSON-lines file: one run a line, sorted by its key."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anamnesis.records import decode, encode_object
from benchmarks.scoreboard.result import RunResult
from benchmarks.scoreboard.summary import run_key


def read_results(path: Path) -> dict[str, RunResult]:
    """Returns the results of a file by key; none where there is no file.

    Raises:
        InputError: a line is not a result; the message names file, line and field.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    results = [decode(RunResult, json.loads(line), f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    return {run_key(result.setting): result for result in results}


def write_result(result: RunResult, path: Path) -> Path:
    """Adds a result to the file, or replaces that of the same key.

    The new file replaces the old one in one step, and writers wait for each other: a killed run leaves the old file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_folder(path.parent):
        results = read_results(path) | {run_key(result.setting): result}
        partial_file = path.with_suffix(".part")
        lines = [json.dumps(encode_object(results[key])) + "\n" for key in sorted(results)]
        partial_file.write_text("".join(lines), encoding="utf-8")
        return partial_file.replace(path)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Waits until no other writer holds the folder, and holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
