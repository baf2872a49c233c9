"""No key is lost, no two workers have one key, no key comes before its due time."""

import random
import threading
import time
from collections import Counter
from datetime import timedelta

from builders.waiting import eventually
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.operator.runtime.work_queue import Backoff, WorkQueue
from anamnesis.operator.runtime.worker_pool import WorkerPool

KEYS = tuple(ReconcileKey("Site", "wards", name) for name in "abc")
LONG = 1000.0


class QueueMachine(RuleBasedStateMachine):
    """The queue beside the simplest correct model: rank and due time of each key, and the keys in progress."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.queue = WorkQueue(Backoff(1, 60), clock=lambda: self.elapsed, random_fraction=lambda: 1.0)
        self.due_times: dict[ReconcileKey, float] = {}
        self.changed: set[ReconcileKey] = set()
        self.working: set[ReconcileKey] = set()
        self.failures: Counter[ReconcileKey] = Counter()

    def expect_key(self, key: ReconcileKey, delay: float) -> None:
        self.due_times[key] = min(self.due_times.get(key, LONG * LONG), self.elapsed + delay)
        if delay == 0:
            self.changed.add(key)

    @rule(key=st.sampled_from(KEYS), delay=st.sampled_from((0.0, 1.0, 30.0)))
    def add(self, key: ReconcileKey, delay: float) -> None:
        self.queue.add(key, delay)
        self.expect_key(key, delay)

    @rule(key=st.sampled_from(KEYS))
    def add_if_missing(self, key: ReconcileKey) -> None:
        self.queue.add_if_missing(key, 30)
        if key not in self.due_times and key not in self.working:
            self.expect_key(key, 30)

    @rule(seconds=st.sampled_from((0.5, 5.0, 50.0)))
    def wait(self, seconds: float) -> None:
        self.elapsed += seconds

    @rule()
    def get(self) -> None:
        ready = {
            key: (key not in self.changed, due_time)
            for key, due_time in self.due_times.items()
            if key not in self.working and due_time <= self.elapsed
        }
        key = self.queue.get(timeout=0)
        assert (key is None) == (not ready)
        if key is not None:
            assert ready[key] == min(ready.values())
            del self.due_times[key]
            self.changed.discard(key)
            self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(failed=st.booleans(), data=st.data())
    def finish(self, failed: bool, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        if failed:
            self.failures[key] += 1
            delay = min(60.0, 2.0 ** (self.failures[key] - 1))
            assert self.queue.add_with_backoff(key) == delay
            self.expect_key(key, delay)
        else:
            del self.failures[key]
            self.queue.reset_backoff(key)
        self.queue.done(key)
        self.working.remove(key)

    @invariant()
    def depth_is_what_waits_now(self) -> None:
        assert self.queue.depth == sum(due_time <= self.elapsed for due_time in self.due_times.values())

    def teardown(self) -> None:
        self.elapsed += LONG
        for key in self.working:
            self.queue.done(key)
        remaining_keys = set()
        while (key := self.queue.get(timeout=0)) is not None:
            remaining_keys.add(key)
        assert remaining_keys == set(self.due_times)


TestQueue = QueueMachine.TestCase


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_key_that_fails_waits_longer_each_time_up_to_a_limit(failures: int, chance: float) -> None:
    backoff = Backoff(0.5, 300)
    assert 0.25 <= backoff.delay(failures, chance) <= 300
    assert backoff.delay(failures, chance) <= backoff.delay(failures + 1, chance)
    assert backoff.delay(20, 0) == 150


def test_many_threads_lose_nothing_and_never_share_a_key() -> None:
    queue, lock = WorkQueue(Backoff(0.001, 0.002)), threading.Lock()
    requested: Counter[ReconcileKey] = Counter()
    reconciled: Counter[ReconcileKey] = Counter()
    busy: set[ReconcileKey] = set()
    shared: list[ReconcileKey] = []

    def reconcile(key: ReconcileKey) -> timedelta | None:
        with lock:
            shared.extend({key} & busy)
            busy.add(key)
            reconciled[key] = requested[key]
        time.sleep(random.uniform(0, 0.001))
        with lock:
            busy.remove(key)
        if random.random() < 0.1:
            raise ValueError
        return None

    workers = WorkerPool(queue, reconcile, lambda: True, lambda kind, result, seconds: None)
    workers.start(8)
    for _ in range(500):
        key = random.choice(KEYS)
        with lock:
            requested[key] += 1
        queue.add(key)
    eventually(lambda: reconciled == requested)
    queue.shut_down()
    assert workers.wait(5)
    assert reconciled == requested
    assert not shared


def test_a_waiting_worker_wakes_up_for_a_key_and_for_the_shutdown() -> None:
    queue = WorkQueue()
    keys: list[ReconcileKey | None] = []

    def get_twice() -> None:
        keys.append(queue.get())
        keys.append(queue.get())

    thread = threading.Thread(target=get_twice, daemon=True)
    thread.start()
    queue.add(KEYS[0], delay=0.05)
    eventually(lambda: bool(keys))
    queue.shut_down()
    thread.join(5)
    assert keys == [KEYS[0], None]


DECISION = ReconcileKey("UpdateApproval", "wards", "chest")


def test_the_decisions_of_people_go_before_everything_else() -> None:
    elapsed = [0.0]
    queue = WorkQueue(clock=lambda: elapsed[0])
    for key in KEYS:
        queue.add(key)
    queue.add(DECISION, delay=5)
    assert queue.get(timeout=0) == KEYS[0], "it is not due yet"
    elapsed[0] = 6
    assert queue.get(timeout=0, kind="UpdateApproval") == DECISION
    assert queue.get(timeout=0, kind="UpdateApproval") is None, "all other keys are left to other workers"
    queue.done(DECISION)
    queue.add(DECISION)
    queue.add(KEYS[2], is_urgent=True)
    assert [queue.get(timeout=0) for _ in range(3)] == [DECISION, KEYS[2], KEYS[1]]
    for key in KEYS[1:]:
        queue.done(key)
        queue.add(key)
    assert queue.get(timeout=0) == KEYS[1], "urgent once"


def test_a_changed_model_waits_for_no_poll_and_a_poll_for_no_model() -> None:
    """900 sources that do not answer delay no model; models that hang delay no poll."""
    queue, may_end, done = WorkQueue(), threading.Event(), list[str]()

    def reconcile(key: ReconcileKey) -> timedelta | None:
        if key.name.startswith("slow"):
            may_end.wait(10)
        else:
            done.append(key.kind)
        return None

    workers = WorkerPool(queue, reconcile, lambda: True, lambda kind, result, seconds: None)
    for number in range(900):
        queue.add(ReconcileKey("Site", "wards", f"slow-{number}"))
    workers.start(4)
    eventually(lambda: queue.depth == 895)
    queue.add(ReconcileKey("ContinualModel", "wards", "changed"))
    eventually(lambda: done == ["ContinualModel"])
    assert queue.depth == 895
    may_end.set()
    queue.shut_down()
    assert workers.wait(5)
