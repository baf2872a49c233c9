"""A store that knows the registry in it: its identity, and who signs and verifies its records."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from anamnesis.registry.signing import Signing
from anamnesis.storage.documents import load_record, write_once
from anamnesis.storage.store import ObjectInfo, Store

T = TypeVar("T")
UNSIGNED = Signing()


@dataclass(frozen=True, slots=True)
class RegistryStore:
    """Implements ``Store``. Functions of the registry sign what they write to it, and verify what they read.

    Attributes:
        store: has the objects.
        signing: see ``Signing``.
    """

    store: Store
    signing: Signing

    @property
    def url(self) -> str:
        """See ``Store``."""
        return self.store.url

    def get(self, key: str) -> bytes:
        """See ``Store``."""
        return self.store.get(key)

    def put(self, key: str, data: bytes) -> None:
        """See ``Store``."""
        self.store.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``Store``."""
        return self.store.put_if_absent(key, data)

    def exists(self, key: str) -> bool:
        """See ``Store``."""
        return self.store.exists(key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        """See ``Store``."""
        return self.store.list(prefix, after)

    def delete(self, key: str) -> bool:
        """See ``Store``."""
        return self.store.delete(key)

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        """See ``Store``."""
        return self.store.list_unfinished_writes()

    def check_conditional_writes(self) -> None:
        """See ``Store``."""
        self.store.check_conditional_writes()


def signing_of(store: Store) -> Signing:
    """Returns how the records of a registry are signed; a plain store has unsigned records."""
    return store.signing if isinstance(store, RegistryStore) else UNSIGNED


def write_signed(store: Store, key: str, record: T) -> T:
    """Signs and writes a record unless one is stored; returns the stored record, which is the first.

    Raises:
        RefusedError: this process has no key for it.
        IntegrityError: the signature of the stored record does not count.
    """
    signing = signing_of(store)
    return signing.check(write_once(store, key, signing.sign(record)), key)


def load_signed(store: Store, kind: type[T], key: str) -> T:
    """Reads a signed record of type ``kind``.

    Raises:
        MissingObjectError: the object does not exist.
        IntegrityError: its bytes were changed, or its signature does not count.
    """
    return signing_of(store).check(load_record(kind, store.get(key), key), key)
