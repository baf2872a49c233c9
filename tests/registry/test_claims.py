"""Claims: one holder at a time; it renews its claim while it works, and others take it over after the deadline."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import LogEntry
from anamnesis.registry import Log, acquire_claim, build_history, release_claim, verify_log, verify_objects
from anamnesis.storage import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LARGEST_ERROR = 5


def claim_at(now: datetime, store: Store, subject: str, author: str, deadline: datetime) -> LogEntry | None:
    return acquire_claim(store, subject, author, reason="new data", deadline=deadline, clock=lambda: now)


def test_a_claim_is_held_until_its_deadline(store: Store, build) -> None:
    subject = build.digest("update")
    ours = claim_at(NOON, store, subject, "cluster a", deadline=NOON + HOUR)
    assert ours.deadline == "2026-01-01T13:00:00Z"
    assert claim_at(NOON, store, subject, "cluster b", deadline=NOON + 2 * HOUR) is None
    assert claim_at(NOON, store, subject, "cluster a", deadline=NOON + 2 * HOUR) == ours
    assert claim_at(NOON, store, build.digest("other"), "cluster b", deadline=NOON + HOUR).number == 2
    late = NOON + HOUR
    theirs = claim_at(late, store, subject, "cluster b", deadline=late + HOUR)
    assert (theirs.author, theirs.number) == ("cluster b", 3)
    assert claim_at(late, store, subject, "cluster a", deadline=late + HOUR) is None
    assert len(Log(store).entries()) == 3


def test_a_released_claim_is_free_at_once(store: Store, build) -> None:
    subject = build.digest("update")
    assert release_claim(store, subject, "a", "x", clock=lambda: NOON) is None
    claim_at(NOON, store, subject, "a", deadline=NOON + HOUR)
    soon = NOON + MINUTE
    assert release_claim(store, subject, "b", "x", clock=lambda: soon) is None
    assert release_claim(store, subject, "a", "deleted", clock=lambda: soon).deadline == "2026-01-01T12:01:00Z"
    assert release_claim(store, subject, "a", "deleted", clock=lambda: soon) is None
    assert claim_at(soon, store, subject, "b", deadline=soon + HOUR).author == "b"
    assert not verify_log(store)


def test_a_holder_renews_its_claim(folder: Store, build) -> None:
    subject, numbers = build.digest("update"), []
    for minute in range(0, 120, 10):
        now = NOON + minute * MINUTE
        held_claim = claim_at(now, folder, subject, "a", deadline=now + HOUR)
        assert claim_at(now, folder, subject, "b", deadline=now + HOUR) is None
        numbers.append(held_claim.number)
    assert numbers == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]  # renewed when less than half an hour is left
    assert build_history(Log(folder).entries()).claims[subject].deadline == "2026-01-01T14:20:00Z"
    assert verify_log(folder) == verify_objects(folder) == ()


def test_a_deadline_that_has_passed_claims_nothing(folder: Store, build) -> None:
    assert claim_at(NOON, folder, build.digest("update"), "a", deadline=NOON) is None
    assert not Log(folder).entries()


def test_one_of_many_concurrent_callers_gets_the_claim(folder: Store, build) -> None:
    barrier = Barrier(8)

    def race(number: int) -> LogEntry | None:
        barrier.wait(10)
        return claim_at(NOON, folder, build.digest("update"), f"operator {number}", deadline=NOON + HOUR)

    with ThreadPoolExecutor(8) as pool:
        winners = [entry for entry in pool.map(race, range(8)) if entry]
    assert len(winners) == len(Log(folder).entries()) == 1


calls = st.tuples(
    st.integers(0, 40),  # seconds that pass before it
    st.sampled_from("abc"),
    st.integers(-1, 60),  # seconds asked for
)
errors = st.integers(-LARGEST_ERROR, LARGEST_ERROR)


@given(st.lists(calls, max_size=30), st.fixed_dictionaries(dict.fromkeys("abc", st.just(0) | errors)))
def test_never_two_holders(memory_store, history: list[tuple[int, str, int]], ahead: dict[str, int]) -> None:
    """Each claimer's clock is ``ahead`` by some seconds; where all are right, none of them overlap at all."""
    store, subject = memory_store(), "sha256:" + "0" * 64
    now, believes, worst = NOON, dict[str, datetime](), timedelta(seconds=max(ahead.values()))
    for passed, claimer, period in history:
        now += timedelta(seconds=passed)
        local_time = now + timedelta(seconds=ahead[claimer])
        before = build_history(Log(store).entries()).claims.get(subject)
        new_claim = claim_at(local_time, store, subject, claimer, deadline=local_time + timedelta(seconds=period))
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
