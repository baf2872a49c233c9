"""Claims: who is working on an update, until when."""

from datetime import UTC, datetime, timedelta

from anamnesis.records import EntryKind, LogEntry
from anamnesis.records.timestamps import Clock, timestamp, utc_now
from anamnesis.registry.history import History
from anamnesis.registry.log import Log, Proposal
from anamnesis.storage.store import Store

_NOTHING = timedelta()


def claim(
    store: Store, subject: str, who: str, why: str, deadline: datetime, clock: Clock = utc_now
) -> LogEntry | None:
    """Claims the update with the digest ``subject``, unless somebody else's claim has not run out.

    Who holds it may ask as often as it likes: its claim is renewed once less than half of the time asked for is left,
    so the log grows by two entries a period at most.

    Args:
        store: the registry's.
        subject: digest of what is claimed.
        who: the same at every call.
        why: stands in the log.
        deadline: when others may take over, should the caller not ask again.
        clock: tells the time. Where two clocks differ, a take-over comes early by as much.

    Returns:
        The caller's claim, made now or before; none when somebody else holds it, or ``deadline`` has passed.
    """
    held: list[LogEntry] = []
    wanted = timestamp(deadline)

    def propose(history: History) -> Proposal | None:
        entry, now = history.claims.get(subject), clock()
        left = _until(entry.deadline, now) if entry else _NOTHING
        mine = entry is not None and entry.who == who and left > _NOTHING
        held[:] = [entry] if entry and mine else []
        due = left < _until(wanted, now) / 2 if mine else left <= _NOTHING < _until(wanted, now)
        return Proposal(EntryKind.CLAIM, subject, who, why, deadline=wanted) if due else None

    return Log(store, clock).append_if(propose) or next(iter(held), None)


def release(store: Store, subject: str, who: str, why: str, clock: Clock = utc_now) -> LogEntry | None:
    """Lets a claim run out now, so that nobody waits for who will not come back.

    Args:
        store: the registry's.
        subject: digest of what was claimed.
        who: holds the claim.
        why: stands in the log.
        clock: tells the time.

    Returns:
        The entry that ends it; none where ``who`` does not hold it.
    """

    def propose(history: History) -> Proposal | None:
        entry, now = history.claims.get(subject), clock()
        if entry is None or entry.who != who or _until(entry.deadline, now) <= _NOTHING:
            return None
        return Proposal(EntryKind.CLAIM, subject, who, why, deadline=timestamp(now))

    return Log(store, clock).append_if(propose)


def _until(deadline: str, now: datetime) -> timedelta:
    return datetime.fromisoformat(deadline) - now.astimezone(UTC)
