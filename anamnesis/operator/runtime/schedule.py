"""The keys of one kind in the order in which workers take them: no call looks at all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from typing import Self

from anamnesis.operator.runtime.reconcile_key import ReconcileKey


class Rank(IntEnum):
    """What goes first among due keys."""

    DECISION = 0
    """Decisions of people wait."""
    URGENT = 1
    """A model whose decisions were recorded."""
    CHANGED = 2
    """Something changed."""
    SCHEDULED = 3
    """Polls, retries, and rounds without a change."""

    @classmethod
    def of_delay(cls, delay: float) -> Self:
        """Returns the rank of a key that is due in ``delay`` seconds."""
        return cls(cls.SCHEDULED if delay > 0 else cls.CHANGED)


@dataclass(frozen=True, slots=True, order=True)
class WaitingKey:
    """When a key is due, and what goes before it then.

    Attributes:
        rank: what goes first among due keys.
        due_time: in seconds on the queue's clock.
    """

    rank: Rank
    due_time: float


DueKey = tuple[WaitingKey, int, ReconcileKey]
"""The key with its number in the order of adding, which decides between equal ones."""


class Schedule:
    """Keys that are due later, by time, and due keys, by rank. An entry that is out of date is dropped when met."""

    def __init__(self) -> None:
        self._later: list[tuple[float, int, WaitingKey, ReconcileKey]] = []
        self._due: list[DueKey] = []
        self._numbers = count()

    def push(self, key: ReconcileKey, waiting_key: WaitingKey) -> None:
        """Adds a key; an earlier entry of the key is out of date from now on."""
        heappush(self._later, (waiting_key.due_time, next(self._numbers), waiting_key, key))

    def first_due(self, current_time: float, is_current: Callable[[ReconcileKey, WaitingKey], bool]) -> DueKey | None:
        """Returns the due key that goes first, or none; ``is_current`` is false for entries that are out of date."""
        while self._later and self._later[0][0] <= current_time:
            _, number, waiting_key, key = heappop(self._later)
            heappush(self._due, (waiting_key, number, key))
        while self._due:
            waiting_key, _, key = self._due[0]
            if is_current(key, waiting_key):
                return self._due[0]
            heappop(self._due)
        return None

    def next_due_time(self) -> float | None:
        """Returns when the next key is due that was not due before, or none."""
        return self._later[0][0] if self._later else None
