"""A store with a cache of write-once objects: reading a registry again costs only a few listings."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, TypeVar, cast

from anamnesis.storage.store import ObjectInfo, Store

T = TypeVar("T")

WRITE_ONCE_PREFIXES = (
    "registry.json",
    "looks/",
    "versions/",
    "update_results/",
    "scheduled_evaluations/",
    "step_failures/",
    "updates/",
    "testsets/",
)


class CachedStore:
    """Implements ``Store``. Objects under a write-once prefix are read from the store once, then from memory.

    Args:
        store: the store with the objects.
        maximum_bytes: size of the cache; the least recently read object is evicted first.
        before_write: called before each write; an exception stops the write.
    """

    def __init__(
        self, store: Store, maximum_bytes: int = 32 << 20, before_write: Callable[[], None] = lambda: None
    ) -> None:
        self._store, self._maximum_bytes, self._before_write = store, maximum_bytes, before_write
        self._cached_objects: OrderedDict[str, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._remembered: dict[type[Any], Any] = {}
        self._lock = Lock()

    @property
    def url(self) -> str:
        """See ``Store``."""
        return self._store.url

    def remember(self, kind: type[T], make: Callable[[], T]) -> T:
        """Returns the value of this type that belongs to the store; ``make`` makes it on first use."""
        with self._lock:
            if kind not in self._remembered:
                self._remembered[kind] = make()
            return cast(T, self._remembered[kind])

    def get(self, key: str) -> bytes:
        """See ``Store``."""
        with self._lock:
            if key in self._cached_objects:
                self._cached_objects.move_to_end(key)
                return self._cached_objects[key]
        data = self._store.get(key)
        if key.startswith(WRITE_ONCE_PREFIXES) and key.endswith(".json"):
            self._cache_object(key, data)
        return data

    def put(self, key: str, data: bytes) -> None:
        """See ``Store``."""
        self._before_write()
        self._store.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``Store``."""
        self._before_write()
        return self._store.put_if_absent(key, data)

    def exists(self, key: str) -> bool:
        """See ``Store``."""
        return self._store.exists(key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        """See ``Store``."""
        return self._store.list(prefix, after)

    def delete(self, key: str) -> bool:
        """See ``Store``."""
        self._before_write()
        with self._lock:
            self._cached_bytes -= len(self._cached_objects.pop(key, b""))
        return self._store.delete(key)

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        """See ``Store``."""
        return self._store.list_unfinished_writes()

    def check_conditional_writes(self) -> None:
        """See ``Store``."""
        self._store.check_conditional_writes()

    def _cache_object(self, key: str, data: bytes) -> None:
        with self._lock:
            if key in self._cached_objects:
                return
            self._cached_objects[key] = data
            self._cached_bytes += len(data)
            while self._cached_bytes > self._maximum_bytes:
                _, evicted_data = self._cached_objects.popitem(last=False)
                self._cached_bytes -= len(evicted_data)
