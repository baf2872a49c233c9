"""What a model holds outside the cluster besides its runs: claims in the registry's log."""

from collections.abc import Container, Mapping
from datetime import datetime

from anamnesis.records import LogEntry
from anamnesis.records.timestamps import time_of
from anamnesis.registry import Log, fold, list_outcomes, release
from anamnesis.storage import Store


def open_claims(claims: Mapping[str, LogEntry], outcomes: Container[str], who: str, now: datetime) -> tuple[str, ...]:
    """Returns the claims that ``who`` holds and of which nothing came yet; others wait for these."""
    return tuple(
        subject
        for subject, entry in claims.items()
        if entry.who == who and subject not in outcomes and time_of(entry.deadline) > now
    )


def give_up(registry: Store, who: str, now: datetime) -> None:
    """Lets the open claims of a model that goes run out at once: whoever comes after it need not wait.

    Raises:
        AnamnesisError: the registry does not answer, or is damaged.
    """
    claims = fold(Log(registry).entries()).claims
    outcomes = {outcome.occasion.claim for outcome in list_outcomes(registry)}
    for subject in open_claims(claims, outcomes, who, now):
        release(registry, subject, who, "its model was deleted", lambda: now)
