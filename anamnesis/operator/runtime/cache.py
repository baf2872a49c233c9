"""What the watches told last: for mapping events to keys, for metrics, and to prove that the watches live.

Nothing is decided by it: reconciling reads the API server.
"""

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.kubernetes_api import Json
from anamnesis.operator.runtime.parsing import parsed
from anamnesis.records import InputError

Kind = TypeVar("Kind", bound=Resource)
Place = tuple[str, str, str]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One object.

    Attributes:
        uid: of the object.
        version: its ``resourceVersion``.
        resource: the object, or none where the types do not accept it.
        at: when it was told, on the clock of whoever calls.
    """

    uid: str
    version: str
    resource: Resource | None
    at: float


@dataclass(frozen=True, slots=True)
class Change:
    """What an object was and is; none where it was not, is not, or cannot be read.

    Attributes:
        before: what it was.
        after: what it is.
        unread: where it is, where the types do not accept what it is.
    """

    before: Resource | None
    after: Resource | None
    unread: Place | None = None


class Cache:
    """Every call is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Place, Entry] = {}

    def get(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        """Returns a resource as it was told last."""
        with self._lock:
            entry = self._entries.get((kind.__name__, namespace, name))
        return entry.resource if entry is not None and isinstance(entry.resource, kind) else None

    def resources(self) -> tuple[Resource, ...]:
        """Returns all that can be read, sorted by kind, namespace and name."""
        with self._lock:
            entries = sorted(self._entries.items(), key=lambda item: item[0])
        return tuple(entry.resource for _, entry in entries if entry.resource is not None)

    def unread(self) -> Mapping[str, int]:
        """Returns how many resources of each kind the types do not accept."""
        with self._lock:
            found = [kind for (kind, _, _), entry in self._entries.items() if entry.resource is None]
        return {kind: found.count(kind) for kind in KINDS}

    def put(self, kind: str, document: Json, at: float) -> Change:
        """Keeps an object that a watch told."""
        place, entry = _place(kind, document), _entry(kind, document, at)
        with self._lock:
            before = self._entries.get(place)
            self._entries[place] = entry
        return Change(before.resource if before else None, entry.resource, None if entry.resource else place)

    def remove(self, kind: str, document: Json) -> Change:
        """Drops an object, unless its name belongs to another one by now."""
        place = _place(kind, document)
        with self._lock:
            before = self._entries.get(place)
            if before is None or before.uid != document["metadata"]["uid"]:
                return Change(None, None)
            del self._entries[place]
        return Change(before.resource, None)

    def replace(self, kind: str, namespace: str, documents: Iterable[Json], at: float) -> tuple[Change, ...]:
        """Takes over a whole listing that was asked for at ``at``; what was told since then is newer and stays.

        Returns what the listing has and was not told, and what it has no more.
        """
        listed = {_place(kind, document): document for document in documents}
        with self._lock:
            known = {place: entry for place, entry in self._entries.items() if _within(place, kind, namespace)}
        changes = []
        for place, document in listed.items():
            entry = known.get(place)
            if entry is None or (entry.version != document["metadata"]["resourceVersion"] and entry.at < at):
                changes.append(self.put(kind, document, at))
        changes += [self._drop(place, entry) for place, entry in known.items() if place not in listed and entry.at < at]
        return tuple(changes)

    def _drop(self, place: Place, entry: Entry) -> Change:
        with self._lock:
            if self._entries.get(place) is entry:
                del self._entries[place]
        return Change(entry.resource, None)


def _place(kind: str, document: Json) -> Place:
    metadata: Mapping[str, str] = document["metadata"]
    return kind, metadata["namespace"], metadata["name"]


def _within(place: Place, kind: str, namespace: str) -> bool:
    return place[0] == kind and namespace in ("", place[1])


def _entry(kind: str, document: Json, at: float) -> Entry:
    metadata: Mapping[str, str] = document["metadata"]
    resource = None
    try:
        resource = parsed(KINDS[kind], document)
    except InputError as error:
        logger.warning("%s; it is left out", error)
    return Entry(metadata["uid"], metadata["resourceVersion"], resource, at)
