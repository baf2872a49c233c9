"""The cluster as reconciling needs it, on a real API server."""

import logging
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

from anamnesis.operator.api.admission import NAME, guarded_since
from anamnesis.operator.api.api_model import API_VERSION, Model, Resource
from anamnesis.operator.api.conditions import Condition, condition, merge
from anamnesis.operator.api.status import Status
from anamnesis.operator.runtime.events import EVENTS, event_document, worth_an_event
from anamnesis.operator.runtime.kubernetes_api import Api, Json, path_of
from anamnesis.operator.runtime.parsing import accepted, faults, parsed
from anamnesis.records import AnamnesisError, ConflictError, InputError, RefusedError
from anamnesis.records.timestamps import Clock

Kind = TypeVar("Kind", bound=Resource)
OURS = "anamnesis.dev/"
"""How the names of our own finalizers start."""
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_GIVEN = {"name", "namespace", "generate_name", "labels", "annotations", "finalizers"}
"""What of the metadata whoever creates a resource may say."""
_TRIES = 5

logger = logging.getLogger(__name__)


class KubeCluster:
    """Meets ``Cluster``.

    Args:
        api: the API server.
        identity: of this process; stands in events.
        clock: the time, UTC.
    """

    def __init__(self, api: Api, identity: str, clock: Clock) -> None:
        self._api, self._identity, self._clock = api, identity, clock

    def require(self) -> None:
        """See ``Cluster``."""
        self._api.guard()

    def get(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        """Returns a resource, or none.

        Raises:
            InputError: the types do not accept it.
        """
        found = self._api.get(path_of(kind.__name__, namespace, name))
        return None if found is None else parsed(kind, found)

    def list(self, kind: type[Kind], namespace: str, fields: Mapping[str, str] | None = None) -> tuple[Kind, ...]:
        """Returns the resources of a kind sorted by name; see ``Cluster``."""
        query = {"fieldSelector": ",".join(f"{path}={value}" for path, value in fields.items())} if fields else {}
        found = self._api.get(path_of(kind.__name__, namespace), **query) or {}
        return tuple(sorted(accepted(kind, found.get("items", ())), key=lambda one: one.metadata.name))

    def create(self, resource: Kind, owner: Resource | None = None) -> Kind:
        """Creates a resource, or returns the one that bears its name already.

        Raises:
            ConflictError: one of that name was there and went just now.
        """
        kind, namespace = type(resource), resource.metadata.namespace or ""
        document = {**_head(resource), **_json(resource, {"spec"}), "metadata": _json(resource.metadata, _GIVEN)}
        if owner is not None:
            document["metadata"]["ownerReferences"] = [_owner(owner)]
        created = self._api.create(path_of(kind.__name__, namespace), document)
        if created is not None:
            return parsed(kind, created)
        there = self.get(kind, namespace, resource.metadata.name)
        if there is None:
            raise ConflictError(f"{kind.__name__} {resource.metadata.name}: was there, and went just now")
        return there

    def put_status(self, resource: Resource, status: Status) -> None:
        """Applies a status where it differs; see ``Cluster``.

        Raises:
            ConflictError: others wrote to the resource at each of several tries.
        """
        before = _status(resource)
        if before == status:
            return
        document = {**_head(resource), "status": _json(status)}
        if self._applied(resource, document):
            for weight, changed in worth_an_event(before.conditions, status.conditions):
                self.event(resource, weight, changed.reason, changed.message)

    def refuse(self, kind: type[Resource], namespace: str, name: str, blamed: str) -> bool:
        """Tells on a resource that the types do not accept it, and why; see ``Cluster``."""
        found = self._api.get(path_of(kind.__name__, namespace, name))
        if found is None or not (words := "; ".join(faults(kind, found))):
            return False
        status = dict(found.get("status", {}))
        before = [Condition.model_validate(one) for one in status.get("conditions", [])]
        told = condition(blamed, False, "InvalidSpec", words)
        wanted = [told, *(one for one in before if one.type != blamed)]
        merged = merge(before, wanted, found["metadata"]["generation"], self._clock())
        status["conditions"] = [_json(one) for one in merged]
        if status != found.get("status"):
            head = {"apiVersion": API_VERSION, "kind": kind.__name__, "metadata": {"name": name}}
            self._api.apply(path_of(kind.__name__, namespace, name, "status"), {**head, "status": status})
        return True

    def _applied(self, resource: Resource, document: Json) -> bool:
        """Applies a status to this very object; false where it is gone. A status ignores a uid, but not a version."""
        name, version = resource.metadata.name, resource.metadata.resource_version
        for _ in range(_TRIES):
            metadata = {"name": name, **({"resourceVersion": version} if version else {})}
            try:
                return self._api.apply(_path(resource, "status"), {**document, "metadata": metadata}) is not None
            except ConflictError:
                found = self._same(resource)
                if found is None:
                    return False
                version = found["metadata"]["resourceVersion"]
        raise ConflictError(f"{type(resource).__name__} {name}: others write to it all the time; the next try may do")

    def _same(self, resource: Resource) -> Json | None:
        """Returns what is there now, unless it is gone or its name belongs to another object."""
        found = self._api.get(_path(resource))
        same = found is not None and resource.metadata.uid in ("", found["metadata"]["uid"])
        return found if same else None

    def set_finalizers(self, resource: Resource, finalizers: tuple[str, ...]) -> None:
        """Replaces our own finalizers; see ``Cluster``.

        Raises:
            ConflictError: others write to the resource at this moment; the next try will do.
        """
        found = self._same(resource)
        if found is None:
            return
        before = found["metadata"].get("finalizers", [])
        wanted = [*(name for name in before if not name.startswith(OURS)), *finalizers]
        if before != wanted:
            version = found["metadata"]["resourceVersion"]
            self._api.patch(_path(resource), {"metadata": {"finalizers": wanted, "resourceVersion": version}})

    def delete(self, resource: Resource) -> None:
        """Deletes a resource, or finds it gone."""
        self._api.delete(_path(resource), resource.metadata.uid)

    def event(self, about: Resource, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Writes an event; where that fails, a warning is logged."""
        document = event_document(about, kind, reason, message, self._identity, self._clock())
        try:
            self._api.create(EVENTS.format(about.metadata.namespace), document)
        except AnamnesisError as error:
            logger.warning("event %s about %s was not written: %s", reason, about.metadata.name, error)

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Returns the decoded text of a Secret's keys, or none.

        Raises:
            InputError: a value is not text.
        """
        try:
            found = self._api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except RefusedError:
            return None
        if found is None:
            return None
        try:
            return {key: b64decode(value).decode() for key, value in found.get("data", {}).items()}
        except UnicodeDecodeError:
            raise InputError(f"Secret {namespace}/{name}: a value is not UTF-8 text") from None

    def approvals_guarded_since(self) -> datetime | None:
        """Returns since when the admission policy pins the author of approvals; none where it does not."""
        try:
            policy = self._api.get(f"{ADMISSION}/validatingadmissionpolicies/{NAME}")
            binding = self._api.get(f"{ADMISSION}/validatingadmissionpolicybindings/{NAME}")
        except RefusedError:
            return None
        return guarded_since(policy, binding)


def _json(part: Model, fields: set[str] | None = None) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True, include=fields)


def _head(resource: Resource) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": type(resource).__name__}


def _owner(owner: Resource) -> dict[str, Any]:
    """No blockOwnerDeletion: it would take the right to change the owner's finalizers."""
    return {**_head(owner), "name": owner.metadata.name, "uid": owner.metadata.uid, "controller": True}


def _path(resource: Resource, part: str = "") -> str:
    return path_of(type(resource).__name__, resource.metadata.namespace or "", resource.metadata.name, part)


def _status(resource: Resource) -> Status:
    status = getattr(resource, "status", None)
    return status if isinstance(status, Status) else Status()
