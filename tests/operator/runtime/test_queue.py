"""No key is lost, none is with two workers at once, none comes before its time."""

import random
import threading
import time
from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from toys.waiting import eventually

from anamnesis.operator.runtime.reconcile_key import Key
from anamnesis.operator.runtime.work_queue import Backoff, WorkQueue
from anamnesis.operator.runtime.worker_pool import Workers

KEYS = tuple(Key("Site", "wards", name) for name in "abc")
LONG = 1000.0


class Queue(RuleBasedStateMachine):
    """The queue beside the simplest thing that could be right: when each key is due, and who has it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue = WorkQueue(Backoff(1, 60), clock=lambda: self.now, chance=lambda: 1.0)
        self.due: dict[Key, float] = {}
        self.working: set[Key] = set()
        self.failures: Counter[Key] = Counter()

    def want(self, key: Key, delay: float) -> None:
        self.due[key] = min(self.due.get(key, LONG * LONG), self.now + delay)

    @rule(key=st.sampled_from(KEYS), delay=st.sampled_from((0.0, 1.0, 30.0)))
    def add(self, key: Key, delay: float) -> None:
        self.queue.add(key, delay)
        self.want(key, delay)

    @rule(seconds=st.sampled_from((0.5, 5.0, 50.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        ready = {key: due for key, due in self.due.items() if key not in self.working and due <= self.now}
        key = self.queue.take(timeout=0)
        assert (key is None) == (not ready)
        if key is not None:
            assert ready[key] == min(ready.values())
            del self.due[key]
            self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(failed=st.booleans(), data=st.data())
    def finish(self, failed: bool, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        if failed:
            self.failures[key] += 1
            delay = min(60.0, 2.0 ** (self.failures[key] - 1))
            assert self.queue.failed(key) == delay
            self.want(key, delay)
        else:
            del self.failures[key]
            self.queue.succeeded(key)
        self.queue.done(key)
        self.working.remove(key)

    @invariant()
    def depth_is_what_waits_now(self) -> None:
        assert self.queue.depth == sum(due <= self.now for due in self.due.values())

    def teardown(self) -> None:
        self.now += LONG
        for key in self.working:
            self.queue.done(key)
        left = set()
        while (key := self.queue.take(timeout=0)) is not None:
            left.add(key)
        assert left == set(self.due)


TestQueue = Queue.TestCase


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_key_that_fails_waits_longer_each_time_up_to_a_limit(failures: int, chance: float) -> None:
    backoff = Backoff(0.5, 300)
    assert 0.25 <= backoff.delay(failures, chance) <= 300
    assert backoff.delay(failures, chance) <= backoff.delay(failures + 1, chance)
    assert backoff.delay(20, 0) == 150


def test_many_threads_lose_nothing_and_never_share_a_key() -> None:
    queue, lock = WorkQueue(Backoff(0.001, 0.002)), threading.Lock()
    asked: Counter[Key] = Counter()
    seen: Counter[Key] = Counter()
    busy: set[Key] = set()
    shared: list[Key] = []

    def reconcile(key: Key) -> timedelta | None:
        with lock:
            shared.extend({key} & busy)
            busy.add(key)
            seen[key] = asked[key]
        time.sleep(random.uniform(0, 0.001))
        with lock:
            busy.remove(key)
        if random.random() < 0.1:
            raise ValueError
        return None

    workers = Workers(queue, reconcile, lambda: True, lambda kind, result, seconds: None)
    workers.start(8)
    for _ in range(500):
        key = random.choice(KEYS)
        with lock:
            asked[key] += 1
        queue.add(key)
    eventually(lambda: seen == asked)
    queue.end()
    assert workers.wait(5)
    assert seen == asked
    assert not shared


def test_who_waits_is_woken_by_a_key_and_by_the_end() -> None:
    queue = WorkQueue()
    taken: list[Key | None] = []

    def take() -> None:
        taken.append(queue.take())
        taken.append(queue.take())

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    queue.add(KEYS[0], delay=0.05)
    eventually(lambda: bool(taken))
    queue.end()
    thread.join(5)
    assert taken == [KEYS[0], None]
