from datetime import UTC, datetime, timedelta

from anamnesis.registry import Log, Store, claim

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_claim_is_held_until_its_deadline(store: Store, build) -> None:
    subject = build.digest("update")
    ours = claim(store, subject, "cluster a", "new data", NOON + HOUR, clock=lambda: NOON)
    assert ours.deadline == "2026-01-01T13:00:00Z"
    assert claim(store, subject, "cluster b", "new data", NOON + 2 * HOUR, clock=lambda: NOON) is None
    assert claim(store, subject, "cluster a", "restarted", NOON + 2 * HOUR, clock=lambda: NOON) == ours
    assert claim(store, build.digest("other"), "cluster b", "x", NOON + HOUR, clock=lambda: NOON).number == 2
    late = NOON + HOUR
    theirs = claim(store, subject, "cluster b", "it ran out", late + HOUR, clock=lambda: late)
    assert (theirs.who, theirs.number) == ("cluster b", 3)
    assert claim(store, subject, "cluster a", "x", late + HOUR, clock=lambda: late) is None
    assert len(Log(store).entries()) == 3
