"""Where objects lie: one small protocol, met by a folder and by any S3 server."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from anamnesis.records import InputError


class MissingObjectError(InputError):
    """Nothing is stored under this key."""


class MissingBucketError(InputError):
    """The bucket that shall hold everything does not exist."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of one object.

    Attributes:
        key: its name below the store's root.
        etag: changes when the content changes; comparable within one store only.
        size: bytes.
        modified: when it was last written, seconds since 1970.
    """

    key: str
    etag: str
    size: int
    modified: float = 0.0


class Store(Protocol):
    """Named objects below one root. A reader sees an object whole or not at all, and sees it once a write returned."""

    @property
    def url(self) -> str:
        """What ``open_store`` needs to open it again, in another process too."""

    def get(self, key: str) -> bytes:
        """Returns the object.

        Raises:
            MissingError: there is none.
        """

    def put(self, key: str, data: bytes) -> None:
        """Writes the object, in place of an older one."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Writes the object unless one is there.

        Returns:
            Whether ``data`` is what lies there now: written by this call, or equal bytes from before (a reply of ours
            that was lost). False: somebody else's bytes were first.
        """

    def exists(self, key: str) -> bool:
        """Returns whether there is such an object."""

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        """Yields the objects whose key starts with ``prefix`` and is greater than ``after``, sorted by key."""

    def delete(self, key: str) -> None:
        """Removes the object; nothing happens when there is none."""

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        """Yields what writers that were killed left behind; ``list`` does not show it, ``delete`` removes it."""

    def check_conditional_writes(self) -> None:
        """Checks that ``put_if_absent`` can work here.

        Raises:
            RefusedError: it cannot; the message says what to do.
        """


def check_key(key: str) -> str:
    """Returns ``key`` when it names an object below a root: parts between single slashes, none of them ``..``.

    Raises:
        InputError: it does not.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise InputError(f"{key!r} cannot name an object: expected parts between single slashes, none of them '..'")
    return key


def child_url(url: str, *parts: str) -> str:
    """Returns the URL of the store ``parts`` below that of ``url``."""
    relative_path = check_key("/".join(parts))
    return f"{url.rstrip('/')}/{quote(relative_path) if url.startswith('file://') else relative_path}"


def open_store(url: str, environment: Mapping[str, str] | None = None) -> Store:
    """Opens a folder or a bucket prefix.

    Args:
        url: ``file:///absolute/path``, a plain path, or ``s3://bucket/prefix``.
        environment: where S3 finds ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``,
            ``AWS_ENDPOINT_URL`` (``https://host:port``), ``AWS_REGION`` and ``AWS_CA_BUNDLE``, and a proxy
            (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``); by default that of the process.

    Raises:
        InputError: the URL or the environment is not as expected.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "s3":
        from anamnesis.storage.s3 import S3Store  # only who uses S3 waits for its client

        return S3Store.from_environment(url, os.environ if environment is None else environment)
    from anamnesis.storage.folder import FolderStore  # here, because that module needs this one

    if separator and scheme == "file" and rest.startswith("/"):
        return FolderStore(Path(unquote(rest)))
    if url and not separator:
        return FolderStore(Path(url))
    raise InputError(f"store {url!r}: expected file:///absolute/path, a path, or s3://bucket/prefix")


def read_file(url: str) -> bytes:
    """Returns the bytes of one file.

    Args:
        url: a path, ``file:///folder/name`` or ``s3://bucket/prefix/name``.

    Raises:
        MissingObjectError: there is no such file; the message names it.
    """
    folder, _, name = url.rpartition("/")
    return open_store(folder or ".").get(name)
