"""A watch can die without a word: what it told is compared with the API server, what it missed is worked on anyway."""

import threading
import time
from collections.abc import Callable

from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.runtime.cache import Cache
from anamnesis.operator.runtime.event_mapping import touched
from anamnesis.operator.runtime.kubernetes_api import Api, Json, path_of
from anamnesis.operator.runtime.work_queue import WorkQueue

Stream = tuple[str, str]
"""A kind and a namespace; the empty one stands for all."""


class Watchdog:
    """Brings what watches and listings tell into the cache and, as keys, into the queue.

    A watch is silent when a listing had something that the watch did not tell, nor anything else since, for too long.

    Args:
        api: the API server.
        cache: of what was told.
        queue: of keys.
        namespaces: that are watched; none for all.
        silence: seconds after which a watch counts as silent.
        alive: told the kind whose watches were just found alive.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        queue: WorkQueue,
        namespaces: tuple[str, ...],
        silence: float,
        alive: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._cache, self._queue, self._clock = api, cache, queue, clock
        self._silence, self._alive = silence, alive
        self._streams: tuple[Stream, ...] = tuple((kind, place) for kind in KINDS for place in namespaces or ("",))
        self._lock = threading.Lock()
        self._heard: dict[Stream, float] = {}
        self._missed: dict[Stream, float] = {}
        self._silent: tuple[str, ...] = ()
        self._synced = False

    def hear(self, kind: str, there: bool, document: Json) -> None:
        """Takes an event of a watch: whether the object is there, and the object."""
        now = self._clock()
        with self._lock:
            for namespace in (document["metadata"]["namespace"], ""):
                self._heard[kind, namespace] = now
        change = self._cache.put(kind, document, now) if there else self._cache.remove(kind, document)
        for key in touched(change, self._cache):
            self._queue.add(key)

    def look(self) -> None:
        """Lists every kind and compares.

        Raises:
            AnamnesisError: the API server does not answer, or refuses; nothing is said about the watches then.
        """
        for stream in self._streams:
            self._compare(stream)
        now = self._clock()
        with self._lock:
            silent = {kind for (kind, _), since in self._missed.items() if now - since > self._silence}
            doubtful = {kind for kind, _ in self._missed}
        self._silent, self._synced = tuple(sorted(silent)), True
        for kind in KINDS:
            if kind not in doubtful:
                self._alive(kind)

    def silent(self) -> tuple[str, ...]:
        """Returns the kinds whose watches are silent, as the last ``look`` found."""
        return self._silent

    def synced(self) -> bool:
        """Whether everything was listed once."""
        return self._synced

    def _compare(self, stream: Stream) -> None:
        start = self._clock()
        listed = self._api.get(path_of(*stream)) or {}
        changes = self._cache.replace(*stream, listed.get("items", ()), start)
        with self._lock:
            if self._heard.get(stream, float("-inf")) >= self._missed.get(stream, float("inf")):
                del self._missed[stream]
            if any(change.after for change in changes):  # what went during an outage, no watch tells afterwards
                self._missed.setdefault(stream, start)
        for change in changes:
            for key in touched(change, self._cache):
                self._queue.add(key)
