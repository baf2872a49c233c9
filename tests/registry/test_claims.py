"""Claims: one holder at a time, renewed while it lives, taken over when it does not come back."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from hypothesis import given, settings
from hypothesis import strategies as st

from anamnesis.records import LogEntry
from anamnesis.registry import Log, acquire_claim, build_history, release_claim, verify_log, verify_objects
from anamnesis.storage import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LARGEST_ERROR = 5


def test_a_claim_is_held_until_its_deadline(store: Store, build) -> None:
    subject = build.digest("update")
    ours = acquire_claim(store, subject, "cluster a", "new data", NOON + HOUR, clock=lambda: NOON)
    assert ours.deadline == "2026-01-01T13:00:00Z"
    assert acquire_claim(store, subject, "cluster b", "new data", NOON + 2 * HOUR, clock=lambda: NOON) is None
    assert acquire_claim(store, subject, "cluster a", "restarted", NOON + 2 * HOUR, clock=lambda: NOON) == ours
    assert acquire_claim(store, build.digest("other"), "cluster b", "x", NOON + HOUR, clock=lambda: NOON).number == 2
    late = NOON + HOUR
    theirs = acquire_claim(store, subject, "cluster b", "it ran out", late + HOUR, clock=lambda: late)
    assert (theirs.author, theirs.number) == ("cluster b", 3)
    assert acquire_claim(store, subject, "cluster a", "x", late + HOUR, clock=lambda: late) is None
    assert len(Log(store).entries()) == 3


def test_a_claim_that_is_given_back_keeps_nobody_waiting(store: Store, build) -> None:
    subject = build.digest("update")
    assert release_claim(store, subject, "a", "x", clock=lambda: NOON) is None
    acquire_claim(store, subject, "a", "new data", NOON + HOUR, clock=lambda: NOON)
    soon = NOON + MINUTE
    assert release_claim(store, subject, "b", "x", clock=lambda: soon) is None
    assert release_claim(store, subject, "a", "deleted", clock=lambda: soon).deadline == "2026-01-01T12:01:00Z"
    assert release_claim(store, subject, "a", "deleted", clock=lambda: soon) is None
    assert acquire_claim(store, subject, "b", "new data", soon + HOUR, clock=lambda: soon).author == "b"
    assert not verify_log(store)


def test_a_holder_that_comes_back_keeps_its_claim(folder: Store, build) -> None:
    subject, numbers = build.digest("update"), []
    for minute in range(0, 120, 10):
        now = NOON + minute * MINUTE
        held_claim = acquire_claim(folder, subject, "a", "its run lives", now + HOUR, clock=lambda now=now: now)
        assert acquire_claim(folder, subject, "b", "new data", now + HOUR, clock=lambda now=now: now) is None
        numbers.append(held_claim.number)
    assert numbers == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]  # anew when less than half an hour is left
    assert build_history(Log(folder).entries()).claims[subject].deadline == "2026-01-01T14:20:00Z"
    assert verify_log(folder) == verify_objects(folder) == ()


def test_a_deadline_that_has_passed_claims_nothing(folder: Store, build) -> None:
    assert acquire_claim(folder, build.digest("update"), "a", "x", NOON, clock=lambda: NOON) is None
    assert not Log(folder).entries()


def test_of_many_at_the_same_moment_one_gets_it(folder: Store, build) -> None:
    barrier = Barrier(8)

    def race(number: int) -> LogEntry | None:
        barrier.wait(10)
        return acquire_claim(folder, build.digest("update"), f"operator {number}", "x", NOON + HOUR, clock=lambda: NOON)

    with ThreadPoolExecutor(8) as pool:
        winners = [entry for entry in pool.map(race, range(8)) if entry]
    assert len(winners) == len(Log(folder).entries()) == 1


calls = st.tuples(
    st.integers(0, 40),  # seconds that pass before it
    st.sampled_from("abc"),
    st.integers(-1, 60),  # seconds asked for
)
errors = st.integers(-LARGEST_ERROR, LARGEST_ERROR)


@settings(deadline=None)
@given(st.lists(calls, max_size=30), st.fixed_dictionaries(dict.fromkeys("abc", st.just(0) | errors)))
def test_never_two_holders(memory_store, history: list[tuple[int, str, int]], ahead: dict[str, int]) -> None:
    """Each claimer's clock is ``ahead`` by some seconds; where all are right, none of them overlap at all."""
    store, subject = memory_store(), "sha256:" + "0" * 64
    now, believes, worst = NOON, dict[str, datetime](), timedelta(seconds=max(ahead.values()))
    for passed, claimer, period in history:
        now += timedelta(seconds=passed)
        local_time = now + timedelta(seconds=ahead[claimer])
        before = build_history(Log(store).entries()).claims.get(subject)
        new_claim = acquire_claim(
            store,
            subject,
            claimer,
            "x",
            local_time + timedelta(seconds=period),
            clock=lambda local_time=local_time: local_time,
        )
        last = build_history(Log(store).entries()).claims.get(subject)
        believes.pop(claimer, None)
        if new_claim:
            assert (new_claim, new_claim.author) == (last, claimer)
            believes[claimer] = ends(new_claim)
            assert ends(new_claim) > local_time
            assert ends(new_claim) >= local_time + timedelta(seconds=period) / 2
        else:
            assert last == before
            assert period <= 0 or (before and before.author != claimer and ends(before) > local_time)
        assert sum(end > now + max(worst, timedelta()) for end in believes.values()) <= 1


def ends(entry: LogEntry) -> datetime:
    return datetime.fromisoformat(entry.deadline)
