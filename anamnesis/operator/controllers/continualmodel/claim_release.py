"""What a model holds outside the cluster besides its runs: claims in the registry's log."""

from collections.abc import Container, Mapping
from datetime import datetime

from anamnesis.records import LogEntry
from anamnesis.records.timestamps import parse_timestamp
from anamnesis.registry import Log, build_history, list_update_results, release_claim
from anamnesis.storage import Store


def open_claims(
    claims: Mapping[str, LogEntry], claims_with_result: Container[str], operator: str, now: datetime
) -> tuple[str, ...]:
    """Returns the claims that ``operator`` holds and of which nothing came yet; others wait for these."""
    return tuple(
        subject
        for subject, entry in claims.items()
        if entry.author == operator and subject not in claims_with_result and parse_timestamp(entry.deadline) > now
    )


def release_claims(registry: Store, operator: str, now: datetime) -> None:
    """Lets the open claims of a model that goes run out at once: whoever comes after it need not wait.

    Raises:
        AnamnesisError: the registry does not answer, or is damaged.
    """
    claims = build_history(Log(registry).entries()).claims
    claims_with_result = {result.trigger.claim for result in list_update_results(registry)}
    for subject in open_claims(claims, claims_with_result, operator, now):
        release_claim(registry, subject, operator, "its model was deleted", lambda: now)
