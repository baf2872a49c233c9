"""The queue of keys to reconcile: each key once, each with one worker, failed keys with a growing back-off.

The decisions of people go before all other keys, and then the models that they are about.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from anamnesis.operator.runtime.reconcile_key import ReconcileKey


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delay of a failed key: it doubles with each failure; a random cut keeps keys from retrying together.

    Attributes:
        initial_delay: seconds after the first failure.
        max_delay: upper bound of the delay, in seconds.
    """

    initial_delay: float = 0.5
    max_delay: float = 300.0

    def delay(self, failures: int, random_fraction: float) -> float:
        """Returns the delay in seconds after this many failures; ``random_fraction`` in [0, 1]: half to full delay."""
        full_delay: float = min(self.max_delay, self.initial_delay * 2.0 ** min(failures - 1, 62))
        return full_delay * (1 + random_fraction) / 2


class WorkQueue:
    """Keys with their due times. Every call is safe from any thread.

    Args:
        backoff: delays of failed keys.
        clock: returns seconds that never go back.
        random_fraction: returns a random number in [0, 1].
    """

    def __init__(
        self,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        random_fraction: Callable[[], float] = random.random,
    ) -> None:
        self._backoff, self._clock, self._random_fraction = backoff or Backoff(), clock, random_fraction
        self._condition = threading.Condition()
        self._due_times: dict[ReconcileKey, float] = {}
        self._keys_in_progress: set[ReconcileKey] = set()
        self._urgent_keys: set[ReconcileKey] = set()
        self._failures: dict[ReconcileKey, int] = {}
        self._is_shut_down = False

    @property
    def depth(self) -> int:
        """Number of keys that are due."""
        with self._condition:
            return sum(due_time <= self._clock() for due_time in self._due_times.values())

    def add(self, key: ReconcileKey, delay: float = 0, is_urgent: bool = False) -> None:
        """Adds a key, due in ``delay`` seconds; a key that waits already keeps the earlier due time.

        Args:
            key: the key.
            delay: seconds.
            is_urgent: the key goes before others when it is due, because of the decision of a person.
        """
        with self._condition:
            due_time = self._clock() + delay
            if is_urgent:
                self._urgent_keys.add(key)
            if due_time < self._due_times.get(key, float("inf")):
                self._due_times[key] = due_time
                self._condition.notify_all()  # not every worker takes every key

    def get(self, timeout: float | None = None, decisions_only: bool = False) -> ReconcileKey | None:
        """Returns the first due key that no worker has; the worker must call ``done`` afterwards.

        Args:
            timeout: how many seconds to wait; returns none after that, and after ``shut_down``.
            decisions_only: take only keys of the decisions of people.
        """
        timeout_at = None if timeout is None else self._clock() + timeout
        with self._condition:
            while not self._is_shut_down:
                current_time = self._clock()
                next_key = self._next_key(current_time, decisions_only)
                if next_key is not None and self._due_times[next_key] <= current_time:
                    del self._due_times[next_key]
                    self._urgent_keys.discard(next_key)
                    self._keys_in_progress.add(next_key)
                    return next_key
                if timeout_at is not None and timeout_at <= current_time:
                    return None
                wake_times = [
                    wake_time
                    for wake_time in (self._due_times[next_key] if next_key else None, timeout_at)
                    if wake_time is not None
                ]
                self._condition.wait(min(wake_times) - current_time if wake_times else None)
            return None

    def _next_key(self, current_time: float, decisions_only: bool) -> ReconcileKey | None:
        """The first idle key: due decisions first, then other urgent keys, then by due time."""
        idle_keys = (
            key
            for key in self._due_times
            if key not in self._keys_in_progress and (key.is_decision or not decisions_only)
        )

        def order(key: ReconcileKey) -> tuple[bool, bool, float]:
            due_time = self._due_times[key]
            is_due = due_time <= current_time
            return not (key.is_decision and is_due), not (key in self._urgent_keys and is_due), due_time

        return min(idle_keys, key=order, default=None)

    def done(self, key: ReconcileKey) -> None:
        """Marks the work on a key as done; a key that was added meanwhile can be taken again."""
        with self._condition:
            self._keys_in_progress.discard(key)
            self._condition.notify_all()

    def reset_backoff(self, key: ReconcileKey) -> None:
        """Forgets the failures of a key."""
        with self._condition:
            self._failures.pop(key, None)

    def add_with_backoff(self, key: ReconcileKey) -> float:
        """Adds a failed key, due after its back-off; returns the delay in seconds."""
        with self._condition:
            self._failures[key] = self._failures.get(key, 0) + 1
            delay = self._backoff.delay(self._failures[key], self._random_fraction())
        self.add(key, delay)
        return delay

    def shut_down(self) -> None:
        """Makes every ``get`` return none from now on."""
        with self._condition:
            self._is_shut_down = True
            self._condition.notify_all()
