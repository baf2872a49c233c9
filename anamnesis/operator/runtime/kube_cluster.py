"""``Cluster`` on a real API server."""

import logging
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from anamnesis.operator.api.admission import POLICY_NAME, ApprovalPolicy, policy_in_force_since
from anamnesis.operator.api.api_model import API_VERSION, ApiModel, Resource
from anamnesis.operator.api.condition_types import RECONCILING, STALLED
from anamnesis.operator.api.conditions import Condition, make_condition, merge_conditions
from anamnesis.operator.api.config_map import ConfigMap
from anamnesis.operator.api.reasons import INVALID_SPEC, WAITS_FOR_A_PERSON
from anamnesis.operator.api.status import ResourceStatus
from anamnesis.operator.runtime.events import EVENTS_PATH, EventSubject, make_event_document, reportable_transitions
from anamnesis.operator.runtime.kubernetes_api import JsonDocument, KubernetesApi, resource_path
from anamnesis.operator.runtime.parsing import parse_resource, parse_valid_resources, validation_errors
from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError
from anamnesis.records.timestamps import Clock

ResourceT = TypeVar("ResourceT", bound=Resource)
FINALIZER_PREFIX = "anamnesis.dev/"
"""Prefix of the names of our own finalizers."""
ADMISSION_PATH = "/apis/admissionregistration.k8s.io/v1"
_WRITABLE_METADATA = {"name", "namespace", "generate_name", "labels", "annotations", "finalizers"}
"""The metadata that the creator of a resource may set."""
_MAX_ATTEMPTS = 5

logger = logging.getLogger(__name__)


class KubeCluster:
    """Implements ``Cluster``.

    Args:
        api: the API server.
        identity: name of this process; it is written into events.
        clock: returns the time, UTC.
        cluster_uid: see ``Cluster``.
    """

    def __init__(
        self, api: KubernetesApi, identity: str, clock: Clock, cluster_uid: Callable[[], str] = lambda: ""
    ) -> None:
        self._api, self._identity, self._clock, self._cluster_uid = api, identity, clock, cluster_uid

    def ensure_leader(self) -> None:
        """See ``Cluster``."""
        self._api.guard()

    def cluster_uid(self) -> str:
        """See ``Cluster``."""
        return self._cluster_uid()

    def get(self, kind: type[ResourceT], namespace: str, name: str) -> ResourceT | None:
        """Returns a resource, or none.

        Raises:
            InputError: the types do not accept it.
        """
        document = self._api.get(resource_path(kind.__name__, namespace, name))
        return None if document is None else parse_resource(kind, document)

    def list(
        self, kind: type[ResourceT], namespace: str, fields: Mapping[str, str] | None = None
    ) -> tuple[ResourceT, ...]:
        """Returns the resources of a kind sorted by name; see ``Cluster``."""
        query = {"fieldSelector": ",".join(f"{path}={value}" for path, value in fields.items())} if fields else {}
        listing = self._api.get(resource_path(kind.__name__, namespace), **query) or {}
        return tuple(
            sorted(parse_valid_resources(kind, listing.get("items", ())), key=lambda resource: resource.metadata.name)
        )

    def create(self, resource: ResourceT, owner: Resource | None = None) -> ResourceT:
        """Creates a resource, or returns the existing resource of that name.

        Raises:
            ConflictError: a resource of that name existed and was deleted meanwhile.
        """
        kind, namespace = type(resource), resource.metadata.namespace or ""
        document = {
            **_type_meta(resource),
            **_to_json(resource, {"spec"}),
            "metadata": _to_json(resource.metadata, _WRITABLE_METADATA),
        }
        if owner is not None:
            document["metadata"]["ownerReferences"] = [_owner_reference(owner)]
        created = self._api.create(resource_path(kind.__name__, namespace), document)
        if created is not None:
            return parse_resource(kind, created)
        existing_resource = self.get(kind, namespace, resource.metadata.name)
        if existing_resource is None:
            raise ConflictError(
                f"{kind.__name__} {resource.metadata.name}: a resource of this name existed and was deleted meanwhile; "
                "the operator tries again"
            )
        return existing_resource

    def create_config_map(self, config_map: ConfigMap, owner: Resource) -> None:
        """Creates a ConfigMap; a missing right is logged as a warning. See ``Cluster``."""
        metadata = {
            "name": config_map.name,
            "namespace": config_map.namespace,
            "labels": dict(config_map.labels),
            "ownerReferences": [_owner_reference(owner)],
        }
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "immutable": True,
            "data": dict(config_map.data),
        }
        try:
            self._api.create(f"/api/v1/namespaces/{config_map.namespace}/configmaps", document)
        except RefusedError as error:
            logger.warning("cannot write the report %s: %s", config_map.name, error)

    def put_status(self, resource: Resource, status: ResourceStatus) -> None:
        """Applies a status where it differs; see ``Cluster``.

        Raises:
            ConflictError: another writer changed the resource at each of several tries.
        """
        current_status = _current_status(resource)
        if current_status == status:
            return
        document = {**_type_meta(resource), "status": _to_json(status)}
        if self._apply_status(resource, document):
            for event_type, transition in reportable_transitions(current_status.conditions, status.conditions):
                self.record_event(resource, event_type, transition.reason, transition.message)

    def report_invalid(self, kind: type[Resource], namespace: str, name: str, condition_type: str) -> bool:
        """Writes on a resource why the types do not accept it; see ``Cluster``."""
        document = self._api.get(resource_path(kind.__name__, namespace, name))
        if document is None or not (error_text := "; ".join(validation_errors(kind, document))):
            return False
        status = dict(document.get("status", {}))
        current_conditions = [Condition.model_validate(condition) for condition in status.get("conditions", [])]
        invalid_condition = make_condition(condition_type, False, INVALID_SPEC, error_text)
        reconciling_condition = make_condition(RECONCILING, False, WAITS_FOR_A_PERSON)
        stalled_condition = make_condition(STALLED, True, INVALID_SPEC, error_text)
        replaced_types = (condition_type, RECONCILING, STALLED)
        desired_conditions = [
            invalid_condition,
            reconciling_condition,
            stalled_condition,
            *(condition for condition in current_conditions if condition.type not in replaced_types),
        ]
        generation = document["metadata"]["generation"]
        merged_conditions = merge_conditions(current_conditions, desired_conditions, generation, self._clock())
        status["observedGeneration"] = generation
        status["conditions"] = [_to_json(condition) for condition in merged_conditions]
        if status != document.get("status"):
            type_meta = {"apiVersion": API_VERSION, "kind": kind.__name__, "metadata": {"name": name}}
            self._api.apply(resource_path(kind.__name__, namespace, name, "status"), {**type_meta, "status": status})
            subject = EventSubject(API_VERSION, kind.__name__, name, namespace, uid=document["metadata"]["uid"])
            for event_type, transition in reportable_transitions(tuple(current_conditions), merged_conditions):
                self._record_event(subject, event_type, transition.reason, transition.message)
        return True

    def _apply_status(self, resource: Resource, document: JsonDocument) -> bool:
        """Applies a status to this object, and to no other of its name; false where the object is gone.

        The API server ignores the ``uid`` when it applies a status, but not the ``resourceVersion``.
        """
        name, resource_version = resource.metadata.name, resource.metadata.resource_version
        for _ in range(_MAX_ATTEMPTS):
            metadata = {"name": name, **({"resourceVersion": resource_version} if resource_version else {})}
            try:
                return self._api.apply(_path_of(resource, "status"), {**document, "metadata": metadata}) is not None
            except ConflictError:
                current_document = self._get_same_object(resource)
                if current_document is None:
                    return False
                resource_version = current_document["metadata"]["resourceVersion"]
        raise ConflictError(
            f"{type(resource).__name__} {name}: another writer changed the resource at each of {_MAX_ATTEMPTS} "
            "tries to write the status; the operator tries again. "
            "If this goes on, find the other writer in metadata.managedFields"
        )

    def _get_same_object(self, resource: Resource) -> JsonDocument | None:
        """Returns the object's current state; none where it is gone or its name belongs to another object."""
        document = self._api.get(_path_of(resource))
        is_same_object = document is not None and resource.metadata.uid in ("", document["metadata"]["uid"])
        return document if is_same_object else None

    def remove_finalizers(self, resource: Resource) -> None:
        """Removes our own finalizers; see ``Cluster``.

        Raises:
            ConflictError: another writer changed the resource meanwhile; the next try succeeds.
        """
        document = self._get_same_object(resource)
        if document is None:
            return
        finalizers = document["metadata"].get("finalizers", [])
        other_finalizers = [name for name in finalizers if not name.startswith(FINALIZER_PREFIX)]
        if finalizers != other_finalizers:
            resource_version = document["metadata"]["resourceVersion"]
            changes = {"finalizers": other_finalizers, "resourceVersion": resource_version}
            self._api.patch(_path_of(resource), {"metadata": changes})

    def delete(self, resource: Resource) -> None:
        """Deletes a resource; does nothing where it is gone."""
        self._api.delete(_path_of(resource), resource.metadata.uid)

    def record_event(
        self, resource: Resource, event_type: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Writes an event; a failure is logged as a warning."""
        self._record_event(EventSubject.of_resource(resource), event_type, reason, message)

    def _record_event(
        self, subject: EventSubject, event_type: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        document = make_event_document(
            subject, event_type=event_type, reason=reason, message=message, identity=self._identity, now=self._clock()
        )
        try:
            self._api.create(EVENTS_PATH.format(subject.namespace), document)
        except AnamnesisError as error:
            logger.warning("cannot write the event %s about %s: %s", reason, subject.name, error)

    def read_secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Returns the decoded text of a Secret's keys, or none.

        Raises:
            InputError: a value is not UTF-8 text.
        """
        try:
            document = self._api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except RefusedError:
            return None
        if document is None:
            return None
        secret_data = {}
        for key, value in document.get("data", {}).items():
            try:
                secret_data[key] = b64decode(value).decode()
            except UnicodeDecodeError:
                raise InputError(
                    f"Secret {namespace}/{name}: the value of key {key} is not UTF-8 text; "
                    "create the Secret again with text"
                ) from None
        return secret_data

    def approval_policy(self) -> ApprovalPolicy:
        """See ``Cluster``."""
        try:
            policy = self._api.get(f"{ADMISSION_PATH}/validatingadmissionpolicies/{POLICY_NAME}")
            binding = self._api.get(f"{ADMISSION_PATH}/validatingadmissionpolicybindings/{POLICY_NAME}")
        except RefusedError:
            return ApprovalPolicy(is_readable=False)
        return ApprovalPolicy(policy_in_force_since(policy, binding))


def _to_json(part: ApiModel, fields: set[str] | None = None) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)


def _type_meta(resource: Resource) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": type(resource).__name__}


def _owner_reference(owner: Resource) -> dict[str, Any]:
    """Without ``blockOwnerDeletion``: that would need the right to change the owner's finalizers."""
    return {**_type_meta(owner), "name": owner.metadata.name, "uid": owner.metadata.uid, "controller": True}


def _path_of(resource: Resource, subresource: str = "") -> str:
    return resource_path(
        type(resource).__name__, resource.metadata.namespace or "", resource.metadata.name, subresource
    )


def _current_status(resource: Resource) -> ResourceStatus:
    status = getattr(resource, "status", None)
    return status if isinstance(status, ResourceStatus) else ResourceStatus()
