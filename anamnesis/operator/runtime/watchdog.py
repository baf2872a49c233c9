"""Checks the watches: a watch can die unnoticed. Listings of the API server find what it missed, and requeue it."""

import threading
import time
from collections.abc import Callable, Iterator

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.event_mapping import keys_for
from anamnesis.operator.runtime.kubernetes_api import JSON, METADATA_ONLY, JsonDocument, KubernetesApi, resource_path
from anamnesis.operator.runtime.work_queue import WorkQueue

WatchScope = tuple[str, str]
"""A kind and a namespace; an empty namespace means all."""


class Watchdog:
    """Writes the events of watches and the changes of listings into the cache, and their keys into the queue.

    A watch is silent when it missed a change that a listing has, and has reported no event since, for too long.

    Args:
        api: the API server.
        cache: the latest reported resources.
        queue: the keys to reconcile.
        namespaces: namespaces to watch; none for all.
        silence_limit: seconds after which a watch counts as silent.
        report_alive: called with each kind whose watches missed nothing.
        clock: returns seconds that never go back.
    """

    def __init__(
        self,
        api: KubernetesApi,
        cache: Cache,
        queue: WorkQueue,
        *,
        namespaces: tuple[str, ...],
        silence_limit: float,
        report_alive: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._cache, self._queue, self._clock = api, cache, queue, clock
        self._silence_limit, self._report_alive = silence_limit, report_alive
        self._scopes: tuple[WatchScope, ...] = tuple(
            (kind, namespace) for kind in KINDS for namespace in namespaces or ("",)
        )
        self._lock = threading.Lock()
        self._last_event_times: dict[WatchScope, float] = {}
        self._missed_since: dict[WatchScope, float] = {}
        self._silent_kinds: tuple[str, ...] = ()
        self._is_synced = False

    def handle_event(self, kind: str, exists: bool, document: JsonDocument) -> None:
        """Handles an event of a watch: whether the object exists, and the object."""
        event_time = self._clock()
        with self._lock:
            for namespace in (document["metadata"]["namespace"], ""):
                self._last_event_times[kind, namespace] = event_time
        if exists and self._cache.is_current(kind, document):
            return  # the first listing of a watch, or an object that a comparison found before the watch did
        change = self._cache.put(kind, document, event_time) if exists else self._cache.remove(kind, document)
        for key in keys_for(change, self._cache):
            self._queue.add(key, is_urgent=kind == "UpdateApproval")

    def check_watches(self) -> None:
        """Lists every kind and compares it with the cache.

        Raises:
            AnamnesisError: the API server is unreachable or refuses; the state of the watches stays as it was.
        """
        for scope in self._scopes:
            self._compare_with_server(scope)
        check_time = self._clock()
        with self._lock:
            silent_kinds = {
                kind
                for (kind, _), missed_since in self._missed_since.items()
                if check_time - missed_since > self._silence_limit
            }
            doubtful_kinds = {kind for kind, _ in self._missed_since}
        self._silent_kinds, self._is_synced = tuple(sorted(silent_kinds)), True
        for kind in KINDS:
            if kind not in doubtful_kinds:
                self._report_alive(kind)

    def silent_kinds(self) -> tuple[str, ...]:
        """Returns the kinds whose watches were silent at the last ``check_watches``."""
        return self._silent_kinds

    def has_synced(self) -> bool:
        """Whether every kind was listed once."""
        return self._is_synced

    def _compare_with_server(self, scope: WatchScope) -> None:
        list_time = self._clock()
        changes = self._cache.replace(*scope, self._list(scope), list_time)
        with self._lock:
            if self._last_event_times.get(scope, float("-inf")) >= self._missed_since.get(scope, float("inf")):
                del self._missed_since[scope]
            if any(change.after for change in changes):  # no watch reports an object deleted during an outage
                self._missed_since.setdefault(scope, list_time)
        for change in changes:
            for key in keys_for(change, self._cache):
                self._queue.add(key)

    def _list(self, scope: WatchScope) -> Iterator[JsonDocument]:
        """Yields the objects of a scope; once they were listed, complete ones only where the cache has another."""
        kind, namespace = scope
        accept = METADATA_ONLY if self._is_synced else JSON
        for page in self._api.list_pages(resource_path(kind, namespace), accept):
            for document in page.get("items") or ():
                if self._is_synced and not self._cache.is_current(kind, document):
                    metadata = document["metadata"]
                    current_document = self._api.get(resource_path(kind, metadata["namespace"], metadata["name"]))
                    if current_document is not None:
                        yield current_document
                else:
                    yield document
