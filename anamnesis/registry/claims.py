"""Claims: log entries that say who works on an update, and until when."""

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
    """Claims the update with the digest ``subject``, unless another author holds a claim that has not expired.

    The holder may call this as often as it likes. A call renews its claim when less than half of the requested time is
    left, so the log grows by at most two entries in each period.

    Args:
        store: store of the registry.
        subject: digest of the content of the claim.
        author: identity of the caller, the same at every call.
        reason: reason for the log.
        deadline: when others may take over the claim, unless the caller renews it.
        clock: returns the time. A difference between two clocks makes a take-over early by as much.

    Returns:
        The caller's claim, new or existing; none when another author holds the claim, or ``deadline`` has passed.
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
    """Ends a claim now, so that others need not wait for its deadline.

    Args:
        store: store of the registry.
        subject: digest of the content of the claim.
        author: the holder of the claim.
        reason: reason for the log.
        clock: returns the time.

    Returns:
        The entry that ends the claim; none when ``author`` does not hold it.
    """

    def propose(history: History) -> EntryProposal | None:
        entry, now = history.claims.get(subject), clock()
        if entry is None or entry.author != author or _time_until(entry.deadline, now) <= _NO_TIME:
            return None
        return EntryProposal(EntryKind.CLAIM, subject, author, reason, deadline=format_timestamp(now))

    return Log(store, clock).append_if(propose)


def _time_until(deadline: str, now: datetime) -> timedelta:
    return datetime.fromisoformat(deadline) - now.astimezone(UTC)
