"""Releases the open claims of a deleted model in its registry's log."""

from collections.abc import Container, Mapping
from datetime import datetime

from anamnesis.records import LogEntry
from anamnesis.records.timestamps import parse_timestamp
from anamnesis.registry import Log, list_update_results, release_claim
from anamnesis.storage import Store


def _open_claims(
    claims: Mapping[str, LogEntry], claims_with_result: Container[str], operator: str, now: datetime
) -> tuple[str, ...]:
    """Returns the unexpired claims of ``operator`` without a result; other operators wait for these."""
    return tuple(
        subject
        for subject, entry in claims.items()
        if entry.author == operator and subject not in claims_with_result and parse_timestamp(entry.deadline) > now
    )


def release_claims(registry: Store, operator: str, now: datetime) -> None:
    """Ends the open claims of a deleted model at once, so that another operator need not wait for their deadline.

    Raises:
        AnamnesisError: the registry is not reachable, or damaged.
    """
    claims = Log(registry).history().claims
    claims_with_result = {result.trigger.claim for result in list_update_results(registry)}
    for subject in _open_claims(claims, claims_with_result, operator, now):
        release_claim(registry, subject, author=operator, reason="its model was deleted", clock=lambda: now)
