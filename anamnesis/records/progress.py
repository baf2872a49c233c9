"""Progress of long work: a function that the caller passes in, never a global."""

from typing import Protocol


class Progress(Protocol):
    """A function that takes reports of progress."""

    def __call__(self, completed: int, total: int, unit: str) -> None:
        """Takes the report that ``completed`` of ``total`` units are finished; ``unit`` names them in words."""


def ignore_progress(completed: int, total: int, unit: str) -> None:
    """Ignores the report."""
