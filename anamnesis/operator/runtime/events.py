"""Events: changes of a resource, for people who run ``kubectl describe``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.conditions import Condition, changed_conditions
from anamnesis.operator.runtime.kubernetes_api import FIELD_MANAGER

EVENTS_PATH = "/apis/events.k8s.io/v1/namespaces/{}/events"
EventType = Literal["Normal", "Warning"]
FAILING_STATUSES: Final[Mapping[str, str]] = {
    condition_types.READY: "False",
    condition_types.STALLED: "True",
    condition_types.FORGETTING: "True",
    condition_types.DRIFTING: "True",
    condition_types.UNVERIFIED_PROMOTION: "True",
    condition_types.TEST_PATIENT_RETURNED: "True",
    condition_types.BACKEND_REACHABLE: "False",
    condition_types.RUN_SUCCEEDED: "False",
    condition_types.RECORDED: "False",
}
"""Condition type -> the status that says that something failed."""
FAILING_REASONS: Final[Mapping[str, frozenset[str]]] = {
    condition_types.DECIDED: frozenset(
        {
            "Rejected",
            "SourceShrank",
            "RunFailed",
            "RunCancelled",
            "Retrying",
            "InvalidSpec",
            "BackendUnreachable",
            reasons.STEP_NOT_STARTED,
        }
    ),
    condition_types.PROGRESSING: frozenset({"Retrying", "InvalidSpec", "BackendUnreachable", reasons.STEP_NOT_STARTED}),
    condition_types.RECONCILING: frozenset(
        {
            reasons.REGISTRY_UNREACHABLE,
            reasons.UNREACHABLE,
            reasons.STORE_UNREADABLE,
            reasons.SECRET_MISSING,
            reasons.UNREADABLE,
        }
    ),
}
"""Condition type -> the reasons that say that something failed; for Decided and Progressing, states of an update."""
HARMLESS_REASONS: Final = frozenset(
    {(condition_types.READY, reasons.NO_CHAMPION), (condition_types.RECORDED, "RecordedBefore")}
)
"""(condition type, reason): a status of ``FAILING_STATUSES`` in which nothing failed."""
_NOTE_LIMIT, _INSTANCE_LIMIT = 1024, 128
"""The API server's limits on the length of ``note`` and ``reportingInstance``, in characters."""


def is_failing(condition: Condition) -> bool:
    """Returns whether a condition says that something failed: its event is a warning."""
    if (condition.type, condition.reason) in HARMLESS_REASONS:
        return False
    has_failing_reason = condition.reason in FAILING_REASONS.get(condition.type, ())
    return has_failing_reason or FAILING_STATUSES.get(condition.type) == condition.status


def reportable_transitions(
    old_conditions: tuple[Condition, ...], new_conditions: tuple[Condition, ...]
) -> Iterator[tuple[EventType, Condition]]:
    """Yields each transition with the type of its event; of a first status only the failing conditions.

    Two conditions with the same reason and message are one event. ``Reconciling``, and ``Stalled`` while it is False,
    repeat what another condition says, except that nothing needs a person any more.
    """
    reported = set()
    for condition in changed_conditions(old_conditions, new_conditions):
        is_warning = is_failing(condition)
        is_repetition = condition.type == condition_types.RECONCILING or (
            condition.type == condition_types.STALLED and condition.reason != reasons.NOTHING_TO_DO
        )
        is_news = is_warning or (bool(old_conditions) and not is_repetition)
        if is_news and (condition.reason, condition.message) not in reported:
            reported.add((condition.reason, condition.message))
            yield "Warning" if is_warning else "Normal", condition


@dataclass(frozen=True, slots=True)
class EventSubject:
    """The resource that an event is about."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str

    @classmethod
    def of_resource(cls, resource: Resource) -> "EventSubject":
        """Returns the subject of a parsed resource."""
        metadata = resource.metadata
        return cls(
            resource.api_version, type(resource).__name__, metadata.name, metadata.namespace or "", uid=metadata.uid
        )


def make_event_document(
    subject: EventSubject, *, event_type: EventType, reason: str, message: str, identity: str, now: datetime
) -> dict[str, Any]:
    """Returns an event in the API server's format.

    Args:
        subject: the resource that the event is about.
        event_type: ``Warning`` where the event needs a person, else ``Normal``.
        reason: a constant word in CamelCase.
        message: a sentence; text beyond the API server's limit is cut off.
        identity: name of this process.
        now: time of the event.
    """
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{subject.name}-", "namespace": subject.namespace},
        "regarding": {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "name": subject.name,
            "namespace": subject.namespace,
            "uid": subject.uid,
        },
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"anamnesis.dev/{FIELD_MANAGER}",
        "reportingInstance": identity[:_INSTANCE_LIMIT],
        "action": "Reconcile",
        "type": event_type,
        "reason": reason,
        "note": message[:_NOTE_LIMIT],
    }
