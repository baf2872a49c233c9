"""Events: what changed with a resource, for people who ask ``kubectl describe``."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.conditions import Condition, changed_conditions
from anamnesis.operator.runtime.kubernetes_api import FIELD_MANAGER

EVENTS_PATH = "/apis/events.k8s.io/v1/namespaces/{}/events"
EventType = Literal["Normal", "Warning"]
_FAILING_STATUS = {
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
_NOTE_LIMIT, _INSTANCE_LIMIT = 1024, 128
"""How long the API server lets them be."""


def reportable_transitions(
    old_conditions: tuple[Condition, ...], new_conditions: tuple[Condition, ...]
) -> Iterator[tuple[EventType, Condition]]:
    """Yields each transition and its weight; of a first status only what is bad, as being new is no transition."""
    for condition in changed_conditions(old_conditions, new_conditions):
        is_failing = _FAILING_STATUS.get(condition.type) == condition.status and not (
            condition.type == "Ready" and not old_conditions
        )
        if is_failing or old_conditions:
            yield "Warning" if is_failing else "Normal", condition


def make_event_document(
    resource: Resource, event_type: EventType, reason: str, message: str, identity: str, now: datetime
) -> dict[str, Any]:
    """Returns an event as the API server takes it.

    Args:
        resource: the resource.
        event_type: whether it calls for a person.
        reason: a constant word.
        message: a sentence; a longer one than is allowed is cut.
        identity: of this process.
        now: the time.
    """
    metadata = resource.metadata
    type_meta = {"apiVersion": resource.api_version, "kind": type(resource).__name__}
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata.name}-", "namespace": metadata.namespace},
        "regarding": {**type_meta, "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"anamnesis.dev/{FIELD_MANAGER}",
        "reportingInstance": identity[:_INSTANCE_LIMIT],
        "action": "Reconcile",
        "type": event_type,
        "reason": reason,
        "note": message[:_NOTE_LIMIT],
    }
