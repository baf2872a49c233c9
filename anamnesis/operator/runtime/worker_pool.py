"""Threads that take keys from the queue and bring them in order."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from anamnesis.operator.runtime.reconcile_key import Key, Reconcile
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.records import AnamnesisError

Result = Literal["success", "error"]
Observe = Callable[[str, Result, float], None]
"""Told of each key: its kind, how it went, how many seconds it took."""

logger = logging.getLogger(__name__)


class Workers:
    """Work until the queue ends.

    Args:
        queue: of keys.
        reconcile: brings one in order.
        leading: whether this process may act; a key taken when it may not is dropped.
        observe: told of each key.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        queue: WorkQueue,
        reconcile: Reconcile,
        leading: Callable[[], bool],
        observe: Observe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._reconcile, self._leading, self._observe = queue, reconcile, leading, observe
        self._clock = clock
        self._threads: list[threading.Thread] = []
        self._begun: dict[Key, float] = {}

    def start(self, count: int) -> None:
        """Starts ``count`` threads. They do not keep the process alive."""
        for number in range(count):
            thread = threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def hanging(self, seconds: float) -> tuple[Key, ...]:
        """Returns the keys that were begun longer ago, and are not done: no thread can be ended from outside."""
        now = self._clock()
        return tuple(sorted(key for key, begun in self._begun.copy().items() if now - begun > seconds))

    def wait(self, seconds: float) -> bool:
        """Returns whether all threads ended within this time; call it after the queue's ``end``."""
        until = self._clock() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - self._clock()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (key := self._queue.take()) is not None:
            try:
                if self._leading():
                    self._work(key)
            finally:
                self._queue.done(key)

    def _work(self, key: Key) -> None:
        start = self._begun[key] = self._clock()
        result: Result = "error"
        try:
            again = self._reconcile(key)
        except AnamnesisError as error:
            logger.warning("%s", error, extra={"key": str(key), "again": self._queue.failed(key)})
        except Exception:  # a fault of ours must not end the thread: it is logged, counted, and tried again
            logger.exception("unexpected", extra={"key": str(key), "again": self._queue.failed(key)})
        else:
            result = "success"
            self._queue.succeeded(key)
            if again is not None:
                self._queue.add(key, again.total_seconds())
        finally:
            del self._begun[key]
        self._observe(key.kind, result, self._clock() - start)
