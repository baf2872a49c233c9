"""How long work tells how far it is: a function handed in, never a global."""

from typing import Protocol


class Progress(Protocol):
    """Called with how much is done."""

    def __call__(self, completed: int, total: int, unit: str) -> None:
        """Reports that ``completed`` of ``total`` units of ``unit`` are finished."""


def ignore_progress(completed: int, total: int, unit: str) -> None:
    """Reports nothing."""
