"""A store in a dictionary, for tests that make hundreds of registries."""

from collections.abc import Callable, Iterator

from anamnesis.storage import MissingObjectError, ObjectInfo


class MemoryStore:
    """Implements ``Store``; ``before`` is called with the key before each write, and may raise an error."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self.objects: dict[str, bytes] = {}
        self.before: Callable[[str], None] = lambda key: None

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise MissingObjectError(key)
        return self.objects[key]

    def put(self, key: str, data: bytes) -> None:
        self.before(key)
        self.objects[key] = data

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if key not in self.objects:
            self.before(key)
        return self.objects.setdefault(key, data) == data

    def exists(self, key: str) -> bool:
        return key in self.objects

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        return (ObjectInfo(key, "", len(self.objects[key])) for key in keys)

    def delete(self, key: str) -> bool:
        self.objects.pop(key, None)
        return True

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        return iter(())

    def check_conditional_writes(self) -> None:
        """Supports them."""
