"""Claims: who is working on an update, until when."""

from datetime import UTC, datetime, timedelta

from anamnesis.records import EntryKind, LogEntry
from anamnesis.records.timestamps import Clock, format_timestamp, utc_now
from anamnesis.registry.history import History
from anamnesis.registry.log import EntryProposal, Log
from anamnesis.storage.store import Store

_NO_TIME = timedelta()


def acquire_claim(
    store: Store, subject: str, author: str, reason: str, deadline: datetime, clock: Clock = utc_now
) -> LogEntry | None:
    """Claims the update with the digest ``subject``, unless somebody else's claim has not run out.

    Who holds it may ask as often as it likes: its claim is renewed once less than half of the time asked for is left,
    so the log grows by two entries a period at most.

    Args:
        store: the registry's.
        subject: digest of what is claimed.
        author: the same at every call.
        reason: stands in the log.
        deadline: when others may take over, should the caller not ask again.
        clock: tells the time. Where two clocks differ, a take-over comes early by as much.

    Returns:
        The caller's claim, made now or before; none when somebody else holds it, or ``deadline`` has passed.
    """
    active_claims: list[LogEntry] = []
    deadline_text = format_timestamp(deadline)

    def propose(history: History) -> EntryProposal | None:
        entry, now = history.claims.get(subject), clock()
        remaining_time = _time_until(entry.deadline, now) if entry else _NO_TIME
        is_author_claim = entry is not None and entry.author == author and remaining_time > _NO_TIME
        active_claims[:] = [entry] if entry and is_author_claim else []
        should_write = (
            remaining_time < _time_until(deadline_text, now) / 2
            if is_author_claim
            else remaining_time <= _NO_TIME < _time_until(deadline_text, now)
        )
        return EntryProposal(EntryKind.CLAIM, subject, author, reason, deadline=deadline_text) if should_write else None

    return Log(store, clock).append_if(propose) or next(iter(active_claims), None)


def release_claim(store: Store, subject: str, author: str, reason: str, clock: Clock = utc_now) -> LogEntry | None:
    """Lets a claim run out now, so that nobody waits for who will not come back.

    Args:
        store: the registry's.
        subject: digest of what was claimed.
        author: holds the claim.
        reason: stands in the log.
        clock: tells the time.

    Returns:
        The entry that ends it; none where ``author`` does not hold it.
    """

    def propose(history: History) -> EntryProposal | None:
        entry, now = history.claims.get(subject), clock()
        if entry is None or entry.author != author or _time_until(entry.deadline, now) <= _NO_TIME:
            return None
        return EntryProposal(EntryKind.CLAIM, subject, author, reason, deadline=format_timestamp(now))

    return Log(store, clock).append_if(propose)


def _time_until(deadline: str, now: datetime) -> timedelta:
    return datetime.fromisoformat(deadline) - now.astimezone(UTC)
