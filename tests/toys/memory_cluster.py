"""A cluster in memory that behaves as the API server does where reconciling can tell: no server, no waiting."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Literal, TypeVar

from anamnesis.operator.api.api_model import Metadata, Resource
from anamnesis.operator.api.approval import GeneratedMetadata
from anamnesis.operator.api.conditions import Condition, transitions
from anamnesis.operator.api.status import Status
from anamnesis.operator.runtime.cluster import ClusterDownError, LeadershipLostError

Kind = TypeVar("Kind", bound=Resource)
Place = tuple[str, str, str]
SELECTABLE = {"ModelUpdate": {"spec.model", "spec.site"}, "UpdateApproval": {"spec.update", "spec.model"}}
OURS = "anamnesis.dev/"


def ignore(verb: str, resource: Resource) -> None:
    """Does nothing before a write."""


class MemoryCluster:
    """Meets ``Cluster``. Resources make the way through JSON, as on the wire; children go when their owner has gone.

    Attributes:
        down: every call raises ``ClusterDownError`` while this is set.
        leads: without it every call raises ``LeadershipLostError``.
        before: called before each write with ``create``, ``status``, ``finalizers`` or ``delete``; may raise.
        after: the same, after it.
        secrets: by (namespace, name).
        guarded_since: what ``approvals_guarded_since`` answers.
        events: (kind and name, type, reason, message), oldest first; those of transitions have the condition's words.
        writes: (verb, kind and name) of every write that changed something.
    """

    def __init__(self, clock: Callable[[], datetime], first: int = 1) -> None:
        self._clock = clock
        self._resources: dict[Place, Resource] = {}
        self._owners: dict[Place, str] = {}
        self._numbers = count(first)
        self.down, self.leads = False, True
        self.before: Callable[[str, Resource], None] = ignore
        self.after: Callable[[str, Resource], None] = ignore
        self.secrets: dict[tuple[str, str], Mapping[str, str]] = {}
        self.guarded_since: datetime | None = None
        self.events: list[tuple[str, str, str, str]] = []
        self.writes: list[tuple[str, str]] = []

    def require(self) -> None:
        if not self.leads:
            raise LeadershipLostError("another one may lead by now")

    def get(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        self._answer()
        found = self._resources.get((kind.__name__, namespace, name))
        assert found is None or isinstance(found, kind)
        return found

    def list(self, kind: type[Kind], namespace: str, fields: Mapping[str, str] | None = None) -> tuple[Kind, ...]:
        self._answer()
        for field in fields or {}:
            assert field in SELECTABLE.get(kind.__name__, ()), f"{field} is no selectable field of {kind.__name__}"
        found = (one for place, one in sorted(self._resources.items()) if place[:2] == (kind.__name__, namespace))
        return tuple(
            one
            for one in found
            if isinstance(one, kind) and all(_field(one, path) == value for path, value in (fields or {}).items())
        )

    def create(self, resource: Kind, owner: Resource | None = None) -> Kind:
        self._answer()
        fresh = self._fresh(resource)
        if there := self._resources.get(_place(fresh)):
            assert isinstance(there, type(resource))
            return there
        self.before("create", fresh)
        if owner is not None:
            self._owners[_place(fresh)] = owner.metadata.uid
        return self._keep("create", fresh)

    def put_status(self, resource: Resource, status: Status) -> None:
        self._answer()
        there = self._same(resource)
        if there is None or _status(resource) == status:
            return
        self.before("status", there)
        about = f"{_place(there)[0]}/{there.metadata.name}"
        for condition in transitions(_status(resource).conditions, status.conditions):
            self.events.append((about, _severity(condition), condition.reason, condition.message))
        self._keep("status", there.model_copy(update={"status": status}))

    def refuse(self, kind: type[Resource], namespace: str, name: str, blamed: str) -> bool:
        """Never called: what the types do not accept cannot get in here."""
        raise AssertionError(f"{kind.__name__} {namespace}/{name}")

    def set_finalizers(self, resource: Resource, finalizers: tuple[str, ...]) -> None:
        self._answer()
        there = self._same(resource)
        if there is None:
            return
        others = tuple(name for name in there.metadata.finalizers if not name.startswith(OURS))
        if there.metadata.finalizers == (*others, *finalizers):
            return
        self.before("finalizers", there)
        changed = _with(there, finalizers=(*others, *finalizers))
        if changed.metadata.deletion_timestamp and not changed.metadata.finalizers:
            self._remove("finalizers", changed)
        else:
            self._keep("finalizers", changed)

    def delete(self, resource: Resource) -> None:
        self._answer()
        there = self._same(resource)
        if there is None:
            return
        self.before("delete", there)
        self._delete(there)

    def event(self, about: Resource, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.events.append((f"{_place(about)[0]}/{about.metadata.name}", kind, reason, message))

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        self._answer()
        return self.secrets.get((namespace, name))

    def approvals_guarded_since(self) -> datetime | None:
        self._answer()
        return self.guarded_since

    def edit(self, resource: Resource) -> None:
        """Does what ``kubectl edit`` does: replaces spec, labels and annotations; a new spec raises the generation."""
        there = self._same(resource)
        assert there is not None, "it is gone"
        changed = getattr(there, "spec") != getattr(resource, "spec")  # noqa: B009
        generation = there.metadata.generation + changed
        kept = {"labels": resource.metadata.labels, "annotations": resource.metadata.annotations}
        edited = resource.model_copy(update={"metadata": there.metadata, "status": _status(there)})
        self._keep("edit", _with(edited, generation=generation, **kept))

    def _answer(self) -> None:
        self.require()
        if self.down:
            raise ClusterDownError("the API server does not answer")

    def _fresh(self, resource: Kind) -> Kind:
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
        return _with(type(resource).model_validate(document), **metadata)

    def _same(self, resource: Resource) -> Resource | None:
        """What is there under the name, unless it is another one by now."""
        there = self._resources.get(_place(resource))
        same = there is not None and resource.metadata.uid in ("", there.metadata.uid)
        return there if same else None

    def _keep(self, verb: str, resource: Kind) -> Kind:
        stored = _with(_through_json(resource), resource_version=str(next(self._numbers)))
        self._resources[_place(resource)] = stored
        self._wrote(verb, stored)
        return stored

    def _delete(self, there: Resource) -> None:
        if not there.metadata.finalizers:
            self._remove("delete", there)
        elif not there.metadata.deletion_timestamp:
            self._keep("delete", _with(there, deletion_timestamp=self._clock().replace(microsecond=0)))

    def _remove(self, verb: str, resource: Resource) -> None:
        del self._resources[_place(resource)]
        self._owners.pop(_place(resource), None)
        self._wrote(verb, resource)
        for place in [place for place, owner in self._owners.items() if owner == resource.metadata.uid]:
            self._delete(self._resources[place])

    def _wrote(self, verb: str, resource: Resource) -> None:
        self.writes.append((verb, f"{_place(resource)[0]}/{resource.metadata.name}"))
        self.after(verb, resource)


def _place(resource: Resource) -> Place:
    assert resource.metadata.namespace, f"{type(resource).__name__} {resource.metadata.name} has no namespace"
    return type(resource).__name__, resource.metadata.namespace, resource.metadata.name


def _status(resource: Resource) -> Status:
    status = getattr(resource, "status")  # noqa: B009
    assert isinstance(status, Status)
    return status


def _field(resource: Resource, path: str) -> object:
    found: object = resource
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _with(resource: Kind, **metadata: object) -> Kind:
    """The resource with other metadata."""
    old: Metadata = resource.metadata
    return resource.model_copy(update={"metadata": old.model_copy(update=metadata)})


def _through_json(resource: Kind) -> Kind:
    return type(resource).model_validate(resource.model_dump(mode="json", by_alias=True, exclude_none=True))


def _severity(condition: Condition) -> str:
    return "Normal" if condition.status == "True" else "Warning"
