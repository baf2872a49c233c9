"""Threads that take keys from the queue and bring them in order."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from anamnesis.operator.runtime.reconcile_key import Reconcile, ReconcileKey
from anamnesis.operator.runtime.work_queue import WorkQueue
from anamnesis.records import AnamnesisError

ReconcileResult = Literal["success", "error"]
ReportResult = Callable[[str, ReconcileResult, float], None]
"""Told of each key: its kind, how it went, how many seconds it took."""

logger = logging.getLogger(__name__)


class WorkerPool:
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
        is_leading: Callable[[], bool],
        report_result: ReportResult,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue, self._reconcile, self._is_leading, self._report_result = (
            queue,
            reconcile,
            is_leading,
            report_result,
        )
        self._clock = clock
        self._threads: list[threading.Thread] = []
        self._start_times: dict[ReconcileKey, float] = {}

    def start(self, count: int) -> None:
        """Starts ``count`` threads. They do not keep the process alive."""
        for number in range(count):
            thread = threading.Thread(target=self._run_worker, name=f"worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def hanging_keys(self, seconds: float) -> tuple[ReconcileKey, ...]:
        """Returns the keys that were begun longer ago, and are not done: no thread can be ended from outside."""
        current_time = self._clock()
        return tuple(
            sorted(key for key, start_time in self._start_times.copy().items() if current_time - start_time > seconds)
        )

    def wait(self, seconds: float) -> bool:
        """Returns whether all threads ended within this time; call it after the queue's ``end``."""
        deadline = self._clock() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run_worker(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                if self._is_leading():
                    self._reconcile_key(key)
            finally:
                self._queue.done(key)

    def _reconcile_key(self, key: ReconcileKey) -> None:
        start_time = self._start_times[key] = self._clock()
        result: ReconcileResult = "error"
        try:
            requeue_after = self._reconcile(key)
        except AnamnesisError as error:
            logger.warning(
                "%s", error, extra={"key": str(key), "requeue_after_seconds": self._queue.add_with_backoff(key)}
            )
        except Exception:  # a fault of ours must not end the thread: it is logged, counted, and tried again
            logger.exception(
                "unexpected", extra={"key": str(key), "requeue_after_seconds": self._queue.add_with_backoff(key)}
            )
        else:
            result = "success"
            self._queue.reset_backoff(key)
            if requeue_after is not None:
                self._queue.add(key, requeue_after.total_seconds())
        finally:
            del self._start_times[key]
        self._report_result(key.kind, result, self._clock() - start_time)
