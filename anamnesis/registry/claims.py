"""Claims: who is working on an update, until when."""

from datetime import datetime

from anamnesis.records import EntryKind, LogEntry
from anamnesis.registry.history import History
from anamnesis.registry.log import Clock, Log, Proposal, timestamp, utc_now
from anamnesis.registry.store import Store


def claim(
    store: Store, subject: str, who: str, why: str, deadline: datetime, clock: Clock = utc_now
) -> LogEntry | None:
    """Claims the update with the digest ``subject``, unless somebody else's claim has not run out.

    Returns:
        The caller's claim, made now or before; none when somebody else holds it.
    """
    held: list[LogEntry] = []

    def propose(history: History) -> Proposal | None:
        entry = history.claims.get(subject)
        if entry is None or entry.deadline <= timestamp(clock()):  # both UTC in one fixed form: they sort as text
            return Proposal(EntryKind.CLAIM, subject, who, why, deadline=timestamp(deadline))
        held[:] = [entry] if entry.who == who else []
        return None

    return Log(store, clock).append_if(propose) or next(iter(held), None)
