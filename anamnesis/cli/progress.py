"""How far work is: live bars on a terminal, plain lines otherwise, always on standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from anamnesis.records.progress import Progress

INTERVAL = 5.0
"""Seconds between two plain lines about the same work."""


class Reporter(Protocol):
    """Where several pieces of work tell how far they are."""

    def track(self, name: str) -> Progress:
        """Returns what the work called ``name`` shall call."""

    def say(self, text: str) -> None:
        """Prints a line above what moves."""


class PlainReporter:
    """One line when something begins, ends, or every few seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock, self._lock = stream, clock, threading.Lock()

    def track(self, name: str) -> Progress:
        """Returns what the work called ``name`` shall call."""
        last = {"what": "", "time": 0.0}

        def progress(done: int, total: int, what: str) -> None:
            now = self._clock()
            with self._lock:
                due = what != last["what"] or (0 < total <= done) or now - float(last["time"]) >= INTERVAL
                if due:
                    last.update(what=what, time=now)
                    print(f"{name}: {what} {done}/{total}" if total else f"{name}: {what}", file=self._stream, flush=True)

        return progress

    def say(self, text: str) -> None:
        """Prints a line."""
        with self._lock:
            print(text, file=self._stream, flush=True)


class BarReporter:
    """A live bar for each piece of work."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.fields[name]}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Bars(*columns, TextColumn("{task.description}"), console=Console(file=stream), transient=True)

    def track(self, name: str) -> Progress:
        """Returns what the work called ``name`` shall call."""
        bar = self.bars.add_task("waits", total=None, name=name)

        def progress(done: int, total: int, what: str) -> None:
            self.bars.update(bar, completed=done, total=total or None, description=what)

        return progress

    def say(self, text: str) -> None:
        """Prints a line above the bars."""
        self.bars.console.print(text, markup=False, highlight=False)


@contextmanager
def reporter(stream: TextIO | None = None) -> Iterator[Reporter]:
    """Yields live bars where ``stream`` (standard error) is a terminal, plain lines otherwise."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield PlainReporter(stream)
        return
    bars = BarReporter(stream)
    with bars.bars:
        yield bars
