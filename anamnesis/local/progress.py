"""Where work on this machine reports its progress."""

from typing import Protocol

from anamnesis.records.progress import Progress


class Reporter(Protocol):
    """Where several pieces of work tell how far they are."""

    def track(self, name: str) -> Progress:
        """Returns what the work called ``name`` shall call."""

    def print_line(self, text: str) -> None:
        """Prints a line above what moves."""
