"""Keys that wait to be brought in order: each once, each with one worker, failed ones later and later."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from anamnesis.operator.runtime.reconcile_key import Key


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a key waits that failed: twice as long each time, cut by chance so that keys do not come in step.

    Attributes:
        first: seconds after the first failure.
        most: seconds that it never exceeds.
    """

    first: float = 0.5
    most: float = 300.0

    def delay(self, failures: int, chance: float) -> float:
        """Returns the seconds to wait after this many failures, from half to the whole by ``chance`` in [0, 1]."""
        whole: float = min(self.most, self.first * 2.0 ** min(failures - 1, 62))
        return whole * (1 + chance) / 2


class WorkQueue:
    """Every call is safe from any thread.

    Args:
        backoff: of keys that fail.
        clock: seconds, never going back.
        chance: returns a number in [0, 1].
    """

    def __init__(
        self,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._backoff, self._clock, self._chance = backoff or Backoff(), clock, chance
        self._changed = threading.Condition()
        self._due: dict[Key, float] = {}
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._ended = False

    @property
    def depth(self) -> int:
        """How many keys wait whose time has come."""
        with self._changed:
            return sum(due <= self._clock() for due in self._due.values())

    def add(self, key: Key, delay: float = 0) -> None:
        """Asks for a key, in ``delay`` seconds; one that is asked for already keeps the earlier time."""
        with self._changed:
            due = self._clock() + delay
            if due < self._due.get(key, float("inf")):
                self._due[key] = due
                self._changed.notify()

    def take(self, timeout: float | None = None) -> Key | None:
        """Returns the key that is due first and has no worker; ``done`` must follow.

        Waits for one, at most ``timeout`` seconds; none after that, and none once the queue was ended.
        """
        give_up = None if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._ended:
                now = self._clock()
                free = (key for key in self._due if key not in self._working)
                first = min(free, key=lambda key: self._due[key], default=None)
                if first is not None and self._due[first] <= now:
                    del self._due[first]
                    self._working.add(first)
                    return first
                if give_up is not None and give_up <= now:
                    return None
                until = [time for time in (self._due[first] if first else None, give_up) if time is not None]
                self._changed.wait(min(until) - now if until else None)
            return None

    def done(self, key: Key) -> None:
        """Gives a key back; it may be taken again where it was asked for meanwhile."""
        with self._changed:
            self._working.discard(key)
            self._changed.notify()

    def succeeded(self, key: Key) -> None:
        """Forgets the failures of a key."""
        with self._changed:
            self._failures.pop(key, None)

    def failed(self, key: Key) -> float:
        """Asks for a key again after its back-off; returns the seconds."""
        with self._changed:
            self._failures[key] = self._failures.get(key, 0) + 1
            delay = self._backoff.delay(self._failures[key], self._chance())
        self.add(key, delay)
        return delay

    def end(self) -> None:
        """Lets every ``take`` return none, from now on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
