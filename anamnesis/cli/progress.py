"""Progress on standard error: live bars on a terminal, plain lines otherwise."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from anamnesis.local.progress import Reporter
from anamnesis.records.progress import Progress

INTERVAL_SECONDS = 5.0
"""Seconds between two plain lines about the same work; shorter work prints its first line only."""


class PlainReporter:
    """Prints a line when work starts, and every few seconds until it ends."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock, self._lock = stream, clock, threading.Lock()

    def track(self, name: str) -> Progress:
        """Returns the callback for the progress of the work ``name``."""
        last_time = -INTERVAL_SECONDS

        def progress(completed: int, total: int, unit: str) -> None:
            nonlocal last_time
            current_time = self._clock()
            if current_time - last_time >= INTERVAL_SECONDS:
                last_time = current_time
                self.print_line(f"{name}: {unit} {completed}/{total}" if total > 1 else f"{name}: {unit}")

        return progress

    def print_line(self, text: str) -> None:
        """Prints a line."""
        with self._lock:
            print(text, file=self._stream, flush=True)


class BarReporter:
    """Shows a live bar for each piece of work."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.fields[name]}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Bars(*columns, TextColumn("{task.description}"), console=Console(file=stream), transient=True)

    def track(self, name: str) -> Progress:
        """Returns the callback for the progress of the work ``name``."""
        bar = self.bars.add_task("waiting", total=None, name=name)

        def progress(completed: int, total: int, unit: str) -> None:
            self.bars.update(bar, completed=completed, total=total or None, description=unit)

        return progress

    def print_line(self, text: str) -> None:
        """Prints a line above the bars."""
        self.bars.console.print(text, markup=False, highlight=False)


@dataclass(frozen=True, slots=True)
class StoppableReporter:
    """Interrupts work in other threads: after ``stop`` is set, the next progress report raises ``KeyboardInterrupt``.

    Attributes:
        reporter: receives the progress.
        stop: set to interrupt the work.
    """

    reporter: Reporter
    stop: threading.Event

    def track(self, name: str) -> Progress:
        """Returns the callback for the progress of the work ``name``."""
        report_progress = self.reporter.track(name)

        def progress(completed: int, total: int, unit: str) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            report_progress(completed, total, unit)

        return progress

    def print_line(self, text: str) -> None:
        """Prints a line."""
        self.reporter.print_line(text)


@contextmanager
def open_reporter(stream: TextIO | None = None) -> Iterator[Reporter]:
    """Yields live bars when ``stream`` (default: standard error) is a terminal, plain lines otherwise."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield PlainReporter(stream)
        return
    bar_reporter = BarReporter(stream)
    with bar_reporter.bars:
        yield bar_reporter
