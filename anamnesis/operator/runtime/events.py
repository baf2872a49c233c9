"""Events: what changed with a resource, for people who ask ``kubectl describe``."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.conditions import Condition, transitions
from anamnesis.operator.runtime.kubernetes_api import MANAGER

EVENTS = "/apis/events.k8s.io/v1/namespaces/{}/events"
Weight = Literal["Normal", "Warning"]
_BAD = {
    "Ready": "False",
    "Stalled": "True",
    "Forgetting": "True",
    "Drifting": "True",
    "BackendReachable": "False",
    "RunSucceeded": "False",
    "Readable": "False",
    "Recorded": "False",
}
"""The status of a condition that calls for a person."""
_NOTE, _INSTANCE = 1024, 128
"""How long the API server lets them be."""


def worth_an_event(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> Iterator[tuple[Weight, Condition]]:
    """Yields each transition and its weight; of a first status only what is bad, as being new is no transition."""
    for condition in transitions(before, after):
        bad = _BAD.get(condition.type) == condition.status and not (condition.type == "Ready" and not before)
        if bad or before:
            yield "Warning" if bad else "Normal", condition


def event_document(
    about: Resource, weight: Weight, reason: str, message: str, identity: str, now: datetime
) -> dict[str, Any]:
    """Returns an event as the API server takes it.

    Args:
        about: the resource.
        weight: whether it calls for a person.
        reason: a constant word.
        message: a sentence; a longer one than is allowed is cut.
        identity: of this process.
        now: the time.
    """
    metadata = about.metadata
    kind = {"apiVersion": about.api_version, "kind": type(about).__name__}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata.name}-", "namespace": metadata.namespace},
        "regarding": {**kind, "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"anamnesis.dev/{MANAGER}",
        "reportingInstance": identity[:_INSTANCE],
        "action": "Reconcile",
        "type": weight,
        "reason": reason,
        "note": message[:_NOTE],
    }
