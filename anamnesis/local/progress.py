"""The interface by which work on this machine reports its progress."""

from typing import Protocol

from anamnesis.records.progress import Progress


class Reporter(Protocol):
    """Shows the progress of several pieces of work."""

    def track(self, name: str) -> Progress:
        """Returns the function that the work called ``name`` reports its progress to."""

    def print_line(self, text: str) -> None:
        """Prints a line above the progress bars."""
