"""A cluster in memory that behaves like the API server as far as the controllers can see: no server, no waiting."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Literal, TypeVar

from builders.kstatus import kstatus

from anamnesis.operator.api.admission import ApprovalPolicy
from anamnesis.operator.api.annotations import LABEL_PREFIX
from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.approval import GeneratedMetadata
from anamnesis.operator.api.config_map import ConfigMap
from anamnesis.operator.api.status import ResourceStatus
from anamnesis.operator.runtime.cluster import ClusterDownError, LeadershipLostError
from anamnesis.operator.runtime.events import reportable_transitions
from anamnesis.records import ConflictError

ResourceT = TypeVar("ResourceT", bound=Resource)
ResourceKey = tuple[str, str, str]
SELECTABLE = {"ModelUpdate": {"spec.model", "spec.site"}, "UpdateApproval": {"spec.update", "spec.model"}}


def do_nothing(verb: str, resource: Resource) -> None:
    """Does nothing before a write."""


class MemoryCluster:
    """Meets ``Cluster``. Resources make the way through JSON, as on the wire; children go when their owner has gone.

    Attributes:
        down: every call raises ``ClusterDownError`` while this is set.
        leads: without it every call raises ``LeadershipLostError``.
        before: called before each write with ``create``, ``status``, ``finalizers`` or ``delete``; may raise.
        after: the same, after it.
        secrets: by (namespace, name).
        config_maps: by (namespace, name).
        uid: what ``cluster_uid`` answers.
        guarded_since: what ``approval_policy`` answers.
        events: (kind and name, type, reason, message), oldest first; those of transitions have the condition's words.
        writes: (verb, kind and name) of every write that changed something.
    """

    def __init__(self, clock: Callable[[], datetime], first: int = 1) -> None:
        self._clock = clock
        self._resources: dict[ResourceKey, Resource] = {}
        self._owners: dict[ResourceKey, str] = {}
        self._numbers, self.uid = count(first), f"cluster-{first}"
        self.down, self.leads = False, True
        self.before: Callable[[str, Resource], None] = do_nothing
        self.after: Callable[[str, Resource], None] = do_nothing
        self.secrets: dict[tuple[str, str], Mapping[str, str]] = {}
        self.config_maps: dict[tuple[str, str], ConfigMap] = {}
        self.guarded_since: datetime | None = None
        self.may_read_policy = True
        self.events: list[tuple[str, str, str, str]] = []
        self.writes: list[tuple[str, str]] = []

    def ensure_leader(self) -> None:
        if not self.leads:
            raise LeadershipLostError("another one may lead by now")

    def cluster_uid(self) -> str:
        return self.uid

    def get(self, kind: type[ResourceT], namespace: str, name: str) -> ResourceT | None:
        self._check_reachable()
        resource = self._resources.get((kind.__name__, namespace, name))
        assert resource is None or isinstance(resource, kind)
        return resource

    def list(
        self, kind: type[ResourceT], namespace: str, fields: Mapping[str, str] | None = None
    ) -> tuple[ResourceT, ...]:
        self._check_reachable()
        for field in fields or {}:
            assert field in SELECTABLE.get(kind.__name__, ()), f"{field} is not a selectable field of {kind.__name__}"
        candidates = (
            resource for key, resource in sorted(self._resources.items()) if key[:2] == (kind.__name__, namespace)
        )
        return tuple(
            resource
            for resource in candidates
            if isinstance(resource, kind)
            and all(_field_value(resource, path) == value for path, value in (fields or {}).items())
        )

    def create(self, resource: ResourceT, owner: Resource | None = None) -> ResourceT:
        self._check_reachable()
        created = self._as_created(resource)
        if existing := self._resources.get(_key_of(created)):
            assert isinstance(existing, type(resource))
            return existing
        self.before("create", created)
        if owner is not None:
            self._owners[_key_of(created)] = owner.metadata.uid
        return self._store("create", created)

    def create_config_map(self, config_map: ConfigMap, owner: Resource) -> None:
        self._check_reachable()
        key = (config_map.namespace, config_map.name)
        if key not in self.config_maps:
            self.before("create", owner)
            self.config_maps[key] = config_map

    def put_status(self, resource: Resource, status: ResourceStatus) -> None:
        self._check_reachable()
        stored = self._stored_resource(resource)
        if stored is None or _status(resource) == status:
            return
        self.before("status", stored)
        resource_name = f"{_key_of(stored)[0]}/{stored.metadata.name}"
        for event_type, condition in reportable_transitions(_status(resource).conditions, status.conditions):
            self.events.append((resource_name, event_type, condition.reason, condition.message))
        changed = stored.model_copy(update={"status": status})
        kstatus(changed)  # fails where tools could not read the state
        self._store("status", changed)

    def report_invalid(self, kind: type[Resource], namespace: str, name: str, condition_type: str) -> bool:
        """Never called: what the types do not accept cannot get in here."""
        raise AssertionError(f"{kind.__name__} {namespace}/{name}")

    def remove_finalizers(self, resource: Resource) -> None:
        self._check_reachable()
        stored = self._stored_resource(resource)
        if stored is None:
            return
        other_finalizers = tuple(name for name in stored.metadata.finalizers if not name.startswith(LABEL_PREFIX))
        if stored.metadata.finalizers == other_finalizers:
            return
        self.before("finalizers", stored)
        changed = _with_metadata(stored, finalizers=other_finalizers)
        if changed.metadata.deletion_timestamp and not changed.metadata.finalizers:
            self._remove("finalizers", changed)
        else:
            self._store("finalizers", changed)

    def delete(self, resource: Resource) -> None:
        self._check_reachable()
        stored = self._stored_resource(resource)
        if stored is None:
            return
        self.before("delete", stored)
        self._delete(stored)

    def record_event(
        self, resource: Resource, event_type: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        self.events.append((f"{_key_of(resource)[0]}/{resource.metadata.name}", event_type, reason, message))

    def read_secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        self._check_reachable()
        return self.secrets.get((namespace, name))

    def approval_policy(self) -> ApprovalPolicy:
        self._check_reachable()
        return ApprovalPolicy(self.guarded_since, is_readable=self.may_read_policy)

    def edit(self, resource: Resource) -> None:
        """Does what ``kubectl edit`` does: replaces spec, labels and annotations; a new spec raises the generation."""
        stored = self._stored_resource(resource)
        assert stored is not None, "it is gone"
        changed = getattr(stored, "spec") != getattr(resource, "spec")  # noqa: B009
        generation = stored.metadata.generation + changed
        metadata_changes = {"labels": resource.metadata.labels, "annotations": resource.metadata.annotations}
        edited = resource.model_copy(update={"metadata": stored.metadata, "status": _status(stored)})
        self._store("edit", _with_metadata(edited, generation=generation, **metadata_changes))

    def _check_reachable(self) -> None:
        self.ensure_leader()
        if self.down:
            raise ClusterDownError("the API server does not answer")

    def _as_created(self, resource: ResourceT) -> ResourceT:
        """As the server takes it: a name, no status, its own metadata."""
        number = next(self._numbers)
        metadata: dict[str, object] = {
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "generation": 1,
            "creation_timestamp": self._clock().replace(microsecond=0),
            "deletion_timestamp": None,
        }
        generated = resource.metadata
        if isinstance(generated, GeneratedMetadata) and generated.generate_name:
            metadata["name"] = f"{generated.generate_name}{number}"
        without = {name for name in type(resource).model_fields if name == "status"}
        document = resource.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=without)
        return _with_metadata(type(resource).model_validate(document), **metadata)

    def _stored_resource(self, resource: Resource) -> Resource | None:
        """What is there under the name, unless it is another one by now."""
        stored = self._resources.get(_key_of(resource))
        is_same = stored is not None and resource.metadata.uid in ("", stored.metadata.uid)
        return stored if is_same else None

    def _store(self, verb: str, resource: ResourceT) -> ResourceT:
        stored = _with_metadata(_through_json(resource), resource_version=str(next(self._numbers)))
        self._resources[_key_of(resource)] = stored
        self._record_write(verb, stored)
        return stored

    def _delete(self, resource: Resource) -> None:
        if not resource.metadata.finalizers:
            self._remove("delete", resource)
        elif not resource.metadata.deletion_timestamp:
            self._store("delete", _with_metadata(resource, deletion_timestamp=self._clock().replace(microsecond=0)))

    def _remove(self, verb: str, resource: Resource) -> None:
        del self._resources[_key_of(resource)]
        self._owners.pop(_key_of(resource), None)
        self._record_write(verb, resource)
        for key in [key for key, owner in self._owners.items() if owner == resource.metadata.uid]:
            self._delete(self._resources[key])

    def _record_write(self, verb: str, resource: Resource) -> None:
        self.writes.append((verb, f"{_key_of(resource)[0]}/{resource.metadata.name}"))
        self.after(verb, resource)


def _key_of(resource: Resource) -> ResourceKey:
    assert resource.metadata.namespace, f"{type(resource).__name__} {resource.metadata.name} has no namespace"
    return type(resource).__name__, resource.metadata.namespace, resource.metadata.name


def _status(resource: Resource) -> ResourceStatus:
    status = getattr(resource, "status")  # noqa: B009
    assert isinstance(status, ResourceStatus)
    return status


def _field_value(resource: Resource, path: str) -> object:
    value: object = resource
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _with_metadata(resource: ResourceT, **metadata: object) -> ResourceT:
    """The resource with other metadata."""
    old: Metadata = resource.metadata
    return resource.model_copy(update={"metadata": old.model_copy(update=metadata)})


def _through_json(resource: ResourceT) -> ResourceT:
    return type(resource).model_validate(resource.model_dump(mode="json", by_alias=True, exclude_none=True))


class MemoryConnection:
    """Meets the part of the command line's ``Connection`` that requests need, over a cluster in memory."""

    def __init__(self, cluster: MemoryCluster, namespace: str) -> None:
        self._cluster, self.namespace = cluster, namespace

    def cluster_uid(self) -> str:
        return self.uid

    def get(self, kind: type[ResourceT], name: str) -> ResourceT:
        resource = self._cluster.get(kind, self.namespace, name)
        assert resource is not None
        return resource

    def list_all(self, kind: type[ResourceT]) -> tuple[ResourceT, ...]:
        return self._cluster.list(kind, self.namespace)

    def patch(self, kind: type[Resource], name: str, change: Mapping[str, Mapping[str, object]]) -> None:
        """Changes annotations, unless the resource has another version by now."""
        resource, metadata = self.get(kind, name), change["metadata"]
        if metadata["resourceVersion"] != resource.metadata.resource_version:
            raise ConflictError(f"{name}: another version")
        annotations = metadata["annotations"]
        assert isinstance(annotations, Mapping)
        changed_annotations = {**resource.metadata.annotations, **annotations}
        self._cluster.edit(_with_metadata(resource, annotations=changed_annotations))
