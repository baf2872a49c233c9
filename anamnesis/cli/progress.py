"""How far work is: live bars on a terminal, plain lines otherwise, always on standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from anamnesis.local.progress import Reporter
from anamnesis.records.progress import Progress

INTERVAL = 5.0
"""Seconds between two plain lines about the same work; what ends sooner leaves its first line."""


class PlainReporter:
    """A line when work begins, and every few seconds while it goes on."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock, self._lock = stream, clock, threading.Lock()

    def track(self, name: str) -> Progress:
        """Returns what the work called ``name`` shall call."""
        last = -INTERVAL

        def progress(done: int, total: int, what: str) -> None:
            nonlocal last
            now = self._clock()
            if now - last >= INTERVAL:
                last = now
                self.say(f"{name}: {what} {done}/{total}" if total > 1 else f"{name}: {what}")

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


@dataclass(frozen=True, slots=True)
class Stoppable:
    """Ends work in other threads: what tells its progress after ``stop`` was set is interrupted there.

    Attributes:
        tell: where the progress goes.
        stop: set to end the work.
    """

    tell: Reporter
    stop: threading.Event

    def track(self, name: str) -> Progress:
        """Returns what the work called ``name`` shall call."""
        inner = self.tell.track(name)

        def progress(done: int, total: int, what: str) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            inner(done, total, what)

        return progress

    def say(self, text: str) -> None:
        """Prints a line."""
        self.tell.say(text)


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
