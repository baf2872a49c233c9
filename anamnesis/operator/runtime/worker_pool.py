"""Threads that take keys from the queue and reconcile them."""

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
"""Called after each key with its kind, the result and the duration in seconds."""

LEADERSHIP_RETRY = 1.0
"""Seconds until a key is taken again that was taken while this process did not lead."""

logger = logging.getLogger(__name__)


class WorkerPool:
    """Threads that work until the queue is shut down.

    Args:
        queue: the keys to reconcile.
        reconcile: reconciles one key.
        is_leading: whether this process leads; keys taken while it does not are tried again, because a Lease that was
            renewed late is still ours.
        report_result: called after each key.
        clock: returns seconds that never go back.
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
        """Starts ``count`` daemon threads for all keys, and one more for each kind.

        So no kind waits for another: the decisions of people for no model, models for no poll, and polls for no model.
        """
        for number in range(count):
            self._start_worker(f"worker-{number}")
        for kind in ("UpdateApproval", "ContinualModel", "Site"):
            self._start_worker(f"worker-{kind}", kind)

    def _start_worker(self, name: str, kind: str = "") -> None:
        thread = threading.Thread(target=self._run_worker, args=(kind,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def hanging_keys(self, seconds: float) -> tuple[ReconcileKey, ...]:
        """Returns the keys on which work takes longer than ``seconds``. No thread can be ended from outside."""
        current_time = self._clock()
        return tuple(
            sorted(key for key, start_time in self._start_times.copy().items() if current_time - start_time > seconds)
        )

    def wait(self, seconds: float) -> bool:
        """Returns whether all threads ended within ``seconds``; call it after the queue's ``shut_down``."""
        deadline = self._clock() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run_worker(self, kind: str) -> None:
        while (key := self._queue.get(kind=kind)) is not None:
            try:
                if self._is_leading():
                    self._reconcile_key(key)
                else:
                    self._queue.add(key, LEADERSHIP_RETRY)
            finally:
                self._queue.done(key)

    def _reconcile_key(self, key: ReconcileKey) -> None:
        start_time = self._start_times[key] = self._clock()
        result: ReconcileResult = "error"
        try:
            requeue_after = self._reconcile(key)
        except AnamnesisError as error:
            logger.warning("%s", error, extra=self._requeue_failed(key))
        except Exception:  # a defect must not end the thread: it is logged, counted, and tried again
            logger.exception(
                "unexpected error while reconciling: report it as a defect", extra=self._requeue_failed(key)
            )
        else:
            result = "success"
            self._queue.reset_backoff(key)
            if requeue_after is not None:
                self._queue.add(key, requeue_after.total_seconds())
        finally:
            del self._start_times[key]
        self._report_result(key.kind, result, self._clock() - start_time)

    def _requeue_failed(self, key: ReconcileKey) -> dict[str, str | float]:
        """Requeues a key with its back-off; returns the fields of the log line."""
        return {"key": str(key), "requeue_after_seconds": self._queue.add_with_backoff(key)}
