"""The queue of keys to reconcile: each key once, each with one worker, failed keys with a growing back-off.

The decisions of people go before all other keys, and then the models that they are about.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.operator.runtime.schedule import Rank, Schedule, WaitingKey


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

    Of the due keys, the decisions of people go first, then urgent keys, then keys that were added without a delay
    (something changed), then the others (polls and retries); of equal ones, the key that is due longest.

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
        self._condition = threading.Condition()  # reentrant
        self._waiting_keys: dict[ReconcileKey, WaitingKey] = {}
        self._schedules: defaultdict[str, Schedule] = defaultdict(Schedule)
        self._keys_in_progress: set[ReconcileKey] = set()
        self._failures: dict[ReconcileKey, int] = {}
        self._is_shut_down = False

    @property
    def depth(self) -> int:
        """Number of keys that are due."""
        with self._condition:
            current_time = self._clock()
            return sum(waiting_key.due_time <= current_time for waiting_key in self._waiting_keys.values())

    def add(self, key: ReconcileKey, delay: float = 0, is_urgent: bool = False) -> None:
        """Adds a key, due in ``delay`` seconds; a key that waits already keeps the earlier due time.

        Args:
            key: the key.
            delay: seconds.
            is_urgent: the key goes before others when it is due, because of the decision of a person.
        """
        with self._condition:
            previous, due_time = self._waiting_keys.get(key), self._clock() + delay
            rank = Rank.DECISION if key.is_decision else Rank.URGENT if is_urgent else Rank.of_delay(delay)
            waiting_key = WaitingKey(rank, due_time)
            if previous:
                waiting_key = WaitingKey(min(previous.rank, rank), min(previous.due_time, due_time))
            if waiting_key != previous:
                self._waiting_keys[key] = waiting_key
                self._schedule(key)

    def add_if_missing(self, key: ReconcileKey, delay: float) -> None:
        """Adds a key unless it waits already or a worker has it, who then adds it again."""
        with self._condition:
            if key not in self._waiting_keys and key not in self._keys_in_progress:
                self.add(key, delay)

    def get(self, timeout: float | None = None, kind: str = "") -> ReconcileKey | None:
        """Returns the first due key that no worker has; the worker must call ``done`` afterwards.

        Args:
            timeout: how many seconds to wait; returns none after that, and after ``shut_down``.
            kind: take only keys of this kind; empty for all.
        """
        timeout_at = None if timeout is None else self._clock() + timeout
        with self._condition:
            while not self._is_shut_down:
                current_time = self._clock()
                schedules = [self._schedules[kind]] if kind else list(self._schedules.values())
                due_keys = [schedule.first_due(current_time, self._is_waiting) for schedule in schedules]
                if first := min(filter(None, due_keys), default=None):
                    return self._take(first[-1])
                if timeout_at is not None and timeout_at <= current_time:
                    return None
                wake_times = [*(schedule.next_due_time() for schedule in schedules), timeout_at]
                wake_time = min((due_time for due_time in wake_times if due_time is not None), default=None)
                self._condition.wait(None if wake_time is None else max(0.0, wake_time - current_time))
            return None

    def _take(self, key: ReconcileKey) -> ReconcileKey:
        del self._waiting_keys[key]
        self._keys_in_progress.add(key)
        return key

    def _schedule(self, key: ReconcileKey) -> None:
        """Lets the workers find a waiting key; a key in progress is found after ``done``."""
        if key not in self._keys_in_progress:
            self._schedules[key.kind].push(key, self._waiting_keys[key])
            self._condition.notify_all()  # not every worker takes every key

    def _is_waiting(self, key: ReconcileKey, waiting_key: WaitingKey) -> bool:
        """Whether an entry of a schedule is current: the key was not taken, nor added again, since."""
        return key not in self._keys_in_progress and self._waiting_keys.get(key) == waiting_key

    def done(self, key: ReconcileKey) -> None:
        """Marks the work on a key as done; a key that was added meanwhile can be taken again."""
        with self._condition:
            self._keys_in_progress.discard(key)
            if key in self._waiting_keys:
                self._schedule(key)

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
