"""Which key is requeued, and what is logged, for each result of its work."""

import logging
import threading
from datetime import timedelta

import pytest
from builders.waiting import eventually

from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.operator.runtime.work_queue import Backoff, WorkQueue
from anamnesis.operator.runtime.worker_pool import WorkerPool
from anamnesis.records import UnreachableError

KEY = ReconcileKey("Site", "wards", "guangzhou")


def test_failed_work_is_requeued_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    queue = WorkQueue(Backoff(0.001, 0.001))
    errors = [UnreachableError("the bucket does not answer"), ZeroDivisionError("a patient's name")]
    results: list[tuple[str, str]] = []

    def reconcile(key: ReconcileKey) -> timedelta | None:
        assert key == KEY
        if errors:
            raise errors.pop(0)
        return None

    workers = WorkerPool(queue, reconcile, lambda: True, lambda kind, result, seconds: results.append((kind, result)))
    with caplog.at_level(logging.INFO):
        workers.start(2)
        queue.add(KEY)
        eventually(lambda: len(results) == 3)
    queue.shut_down()
    assert workers.wait(5)
    assert results == [("Site", "error"), ("Site", "error"), ("Site", "success")]
    assert [record.message for record in caplog.records] == [
        "the bucket does not answer",
        "unexpected error while reconciling: report it as a defect",
    ]
    assert all(record.__dict__["key"] == str(KEY) for record in caplog.records)


def test_a_key_is_requeued_when_reconciling_returns_a_time() -> None:
    queue, times = WorkQueue(), [timedelta(milliseconds=10), timedelta(0), None]
    workers = WorkerPool(queue, lambda key: times.pop(0), lambda: True, lambda kind, result, seconds: None)
    workers.start(1)
    queue.add(KEY)
    eventually(lambda: not times)
    queue.shut_down()
    assert workers.wait(5)


def test_a_key_that_is_taken_while_the_lease_is_renewed_late_is_not_lost() -> None:
    queue, answers, reconciled = WorkQueue(), [False, True], threading.Event()

    def reconcile(key: ReconcileKey) -> None:
        reconciled.set()

    workers = WorkerPool(queue, reconcile, lambda: answers.pop(0), lambda kind, result, seconds: None)
    workers.start(1)
    queue.add(KEY)
    assert reconciled.wait(10)
    queue.shut_down()
    assert workers.wait(5)
    assert answers == []


def test_hanging_work_is_reported_until_it_is_done() -> None:
    queue, clock_time, may_fail = WorkQueue(), [1000.0], threading.Event()

    def reconcile(key: ReconcileKey) -> timedelta | None:
        may_fail.wait(10)
        raise ZeroDivisionError

    workers = WorkerPool(
        queue, reconcile, lambda: True, lambda kind, result, seconds: None, clock=lambda: clock_time[0]
    )
    workers.start(1)
    queue.add(KEY)
    eventually(lambda: workers.hanging_keys(-1) == (KEY,))
    clock_time[0] += 600
    assert workers.hanging_keys(600) == ()
    clock_time[0] += 1
    assert workers.hanging_keys(600) == (KEY,)
    queue.shut_down()
    may_fail.set()
    eventually(lambda: workers.hanging_keys(-1) == ())


def test_a_process_that_does_not_lead_reconciles_nothing() -> None:
    queue, processed_keys = WorkQueue(), []
    workers = WorkerPool(
        queue, lambda key: processed_keys.append(key), lambda: False, lambda kind, result, seconds: None
    )
    workers.start(1)
    queue.add(KEY)
    eventually(lambda: queue.depth == 0)
    queue.shut_down()
    assert workers.wait(5)
    assert not processed_keys


def test_a_decision_waits_for_no_other_work() -> None:
    """With every worker busy, for example with a back end that does not answer, people's decisions are executed."""
    queue, may_end, recorded = WorkQueue(), threading.Event(), threading.Event()

    def reconcile(key: ReconcileKey) -> timedelta | None:
        if key.is_decision:
            recorded.set()
        else:
            may_end.wait(10)
        return None

    workers = WorkerPool(queue, reconcile, lambda: True, lambda kind, result, seconds: None)
    workers.start(2)
    for number in range(20):
        queue.add(ReconcileKey("ContinualModel", "wards", f"model-{number}"))
    eventually(lambda: queue.depth == 17)
    queue.add(ReconcileKey("UpdateApproval", "wards", "model-0"))
    assert recorded.wait(5)
    assert queue.depth == 17
    may_end.set()
    queue.shut_down()
    assert workers.wait(5)
