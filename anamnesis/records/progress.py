"""How long work tells how far it is: a function handed in, never a global."""

from typing import Protocol


class Progress(Protocol):
    """Called with how much is done."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Reports that ``done`` of ``total`` units of ``what`` are finished."""


def silent(done: int, total: int, what: str) -> None:
    """Reports nothing."""
