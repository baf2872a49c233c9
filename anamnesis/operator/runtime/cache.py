"""The latest resources that the watches reported: for mapping events to keys, for metrics, and for checking watches.

Reconciling reads the API server, not the cache; only polls of a source start from the cache (``controllers/site``).
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from anamnesis.operator.api import ContinualModel
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.kubernetes_api import JsonDocument
from anamnesis.operator.runtime.parsing import parse_resource
from anamnesis.records import InputError

ResourceT = TypeVar("ResourceT", bound=Resource)
ObjectKey = tuple[str, str, str]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One object of the API server.

    Attributes:
        uid: the object's ``uid``.
        resource_version: the object's ``resourceVersion``.
        resource: the typed object; none where the types do not accept it.
        observed_at: when a watch or a listing reported it, in seconds on the caller's clock.
    """

    uid: str
    resource_version: str
    resource: Resource | None
    observed_at: float


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """An object before and after a change; none where it did not exist, does not exist or is unreadable.

    Attributes:
        before: the object before the change.
        after: the object after the change.
        unreadable_key: kind, namespace and name of the object, where the types do not accept it after the change.
    """

    before: Resource | None
    after: Resource | None
    unreadable_key: ObjectKey | None = None


class Cache:
    """Objects by kind, namespace and name. Every call is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[ObjectKey, CacheEntry] = {}
        self._models_by_site: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def get(self, kind: type[ResourceT], namespace: str, name: str) -> ResourceT | None:
        """Returns the latest reported state of a resource."""
        with self._lock:
            entry = self._entries.get((kind.__name__, namespace, name))
        return entry.resource if entry is not None and isinstance(entry.resource, kind) else None

    def resources(self) -> tuple[Resource, ...]:
        """Returns all readable resources, sorted by kind, namespace and name."""
        with self._lock:
            entries = sorted(self._entries.items(), key=lambda item: item[0])
        return tuple(entry.resource for _, entry in entries if entry.resource is not None)

    def models_of_site(self, namespace: str, site: str) -> tuple[str, ...]:
        """Returns the names of the readable models that name a site, sorted."""
        with self._lock:
            return tuple(sorted(self._models_by_site.get((namespace, site), ())))

    def resources_of_kind(self, kind: type[ResourceT], namespace: str) -> tuple[ResourceT, ...]:
        """Returns the readable resources of a kind in a namespace, in no order; it reads the keys of all objects."""
        with self._lock:
            entries = [entry for key, entry in self._entries.items() if key[:2] == (kind.__name__, namespace)]
        return tuple(entry.resource for entry in entries if isinstance(entry.resource, kind))

    def unreadable_counts(self) -> Mapping[str, int]:
        """Returns how many resources of each kind the types do not accept."""
        with self._lock:
            unreadable_kinds = [kind for (kind, _, _), entry in self._entries.items() if entry.resource is None]
        return {kind: unreadable_kinds.count(kind) for kind in KINDS}

    def put(self, kind: str, document: JsonDocument, observed_at: float) -> ResourceChange:
        """Stores an object that a watch or a listing reported."""
        key, entry = _object_key(kind, document), _make_entry(kind, document, observed_at)
        with self._lock:
            previous_entry = self._entries.get(key)
            self._set_entry(key, entry)
        return ResourceChange(
            previous_entry.resource if previous_entry else None, entry.resource, None if entry.resource else key
        )

    def remove(self, kind: str, document: JsonDocument) -> ResourceChange:
        """Removes an object, unless its name belongs to another object by now."""
        key = _object_key(kind, document)
        with self._lock:
            previous_entry = self._entries.get(key)
            if previous_entry is None or previous_entry.uid != document["metadata"]["uid"]:
                return ResourceChange(None, None)
            self._set_entry(key, None)
        return ResourceChange(previous_entry.resource, None)

    def is_current(self, kind: str, document: JsonDocument) -> bool:
        """Whether the cache has this object in this version; ``document`` needs only its metadata."""
        with self._lock:
            entry = self._entries.get(_object_key(kind, document))
        metadata = document["metadata"]
        return entry is not None and (entry.uid, entry.resource_version) == (
            metadata["uid"],
            metadata["resourceVersion"],
        )

    def replace(
        self, kind: str, namespace: str, documents: Iterable[JsonDocument], listed_at: float
    ) -> tuple[ResourceChange, ...]:
        """Takes over a complete listing, requested at ``listed_at``; objects that a watch reported later stay.

        Returns the changes that no watch reported: objects that are new or different, and objects that are gone.
        """
        changes, listed_keys = [], set()
        for document in documents:
            key = _object_key(kind, document)
            listed_keys.add(key)
            with self._lock:
                entry = self._entries.get(key)
            if entry is None or (
                entry.resource_version != document["metadata"]["resourceVersion"] and entry.observed_at < listed_at
            ):
                changes.append(self.put(kind, document, listed_at))
        with self._lock:
            missing_entries = [
                (key, entry)
                for key, entry in self._entries.items()
                if _is_in_scope(key, kind, namespace) and key not in listed_keys and entry.observed_at < listed_at
            ]
        return (*changes, *(self._drop(key, entry) for key, entry in missing_entries))

    def _drop(self, key: ObjectKey, entry: CacheEntry) -> ResourceChange:
        with self._lock:
            if self._entries.get(key) is entry:
                self._set_entry(key, None)
        return ResourceChange(entry.resource, None)

    def _set_entry(self, key: ObjectKey, entry: CacheEntry | None) -> None:
        """Stores or removes an object, and what it says about which model names which site. The caller has the lock."""
        previous_entry = self._entries.pop(key, None)
        for site_key in _sites_of(previous_entry):
            self._models_by_site[site_key].discard(key[2])
            if not self._models_by_site[site_key]:
                del self._models_by_site[site_key]
        for site_key in _sites_of(entry):
            self._models_by_site[site_key].add(key[2])
        if entry is not None:
            self._entries[key] = entry


def _object_key(kind: str, document: JsonDocument) -> ObjectKey:
    metadata: Mapping[str, str] = document["metadata"]
    return kind, metadata["namespace"], metadata["name"]


def _sites_of(entry: CacheEntry | None) -> set[tuple[str, str]]:
    """Namespace and name of each site that a model names; nothing for other objects."""
    if entry is None or not isinstance(entry.resource, ContinualModel):
        return set()
    namespace = entry.resource.metadata.namespace or ""
    return {(namespace, reference.name) for reference in entry.resource.spec.sites}


def _is_in_scope(key: ObjectKey, kind: str, namespace: str) -> bool:
    return key[0] == kind and namespace in ("", key[1])


def _make_entry(kind: str, document: JsonDocument, observed_at: float) -> CacheEntry:
    metadata: Mapping[str, str] = document["metadata"]
    resource = None
    try:
        resource = parse_resource(KINDS[kind], document)
    except InputError as error:
        logger.warning("the operator ignores a resource: %s", error)
    return CacheEntry(metadata["uid"], metadata["resourceVersion"], resource, observed_at)
