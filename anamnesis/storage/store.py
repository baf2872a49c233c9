"""The protocol of a store, implemented by a folder and by any S3 server."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote

from anamnesis.records import InputError


class MissingObjectError(InputError):
    """No object is stored under this key."""


class MissingBucketError(InputError):
    """The bucket of the store does not exist."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object in a listing.

    Attributes:
        key: name of the object below the root of the store.
        etag: changes when the content changes; comparable within one store only.
        size: in bytes.
        modified: time of the last write, in seconds since 1970.
    """

    key: str
    etag: str
    size: int
    modified: float = 0.0


class Store(Protocol):
    """Named objects below one root. Writes are atomic, and visible to every reader as soon as they return."""

    @property
    def url(self) -> str:
        """The URL with which ``open_store`` opens this store in any process."""

    def get(self, key: str) -> bytes:
        """Returns the content of the object.

        Raises:
            MissingObjectError: the object does not exist.
        """

    def put(self, key: str, data: bytes) -> None:
        """Writes the object; replaces an existing one."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Writes the object unless it exists.

        Returns:
            True when the stored bytes equal ``data``: this call wrote them, or an earlier call whose reply was lost.
            False when another writer stored different bytes first.
        """

    def exists(self, key: str) -> bool:
        """Returns whether the object exists."""

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        """Yields the objects whose key starts with ``prefix`` and is greater than ``after``, sorted by key."""

    def delete(self, key: str) -> bool:
        """Deletes the object; does nothing when it does not exist.

        Returns:
            False when the store keeps the deleted bytes as an old version, as a bucket with versions does.

        Raises:
            RefusedError: a policy or a retention forbids it.
        """

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        """Yields the unfinished objects of killed writers; ``list`` does not show them, ``delete`` removes them."""

    def check_conditional_writes(self) -> None:
        """Checks that the store supports ``put_if_absent``.

        Raises:
            RefusedError: the store does not support it; the message says what to do.
        """


def check_key(key: str) -> str:
    """Returns ``key`` when it names an object below a root: parts between single slashes, none of them ``.`` or ``..``.

    Raises:
        InputError: ``key`` has another form.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise InputError(
            f"{key!r} cannot name an object: expected parts between single slashes, none of them '.' or '..'; "
            "correct the name"
        )
    return key


def child_url(url: str, *parts: str) -> str:
    """Returns the URL of the store at the path ``parts`` below the store at ``url``."""
    relative_path = check_key("/".join(parts))
    return f"{url.rstrip('/')}/{quote(relative_path) if url.startswith('file://') else relative_path}"


def open_store(url: str, environment: Mapping[str, str] | None = None) -> Store:
    """Opens a folder or a bucket prefix.

    Args:
        url: ``file:///absolute/path``, a plain path, or ``s3://bucket/prefix``.
        environment: for S3, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``,
            ``AWS_ENDPOINT_URL`` (``https://host:port``), ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, ``AWS_CA_BUNDLE``,
            and a proxy (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``); the default is the environment of the process.

    Raises:
        InputError: the URL or the environment is not as expected; the message names the part.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "s3":
        from anamnesis.storage.s3 import S3Store  # a slow import that only S3 needs

        return S3Store.from_environment(url, os.environ if environment is None else environment)
    from anamnesis.storage.folder import FolderStore  # here, because that module imports this one

    if separator and scheme == "file" and rest.startswith("/"):
        return FolderStore(Path(unquote(rest)))
    if url and not separator:
        return FolderStore(Path(url))
    raise InputError(f"store {url!r}: expected file:///absolute/path, a path, or s3://bucket/prefix")


def read_file(url: str) -> bytes:
    """Returns the bytes of one file.

    Args:
        url: a path, ``file:///folder/name``, ``s3://bucket/prefix/name``, or ``package://distribution/name`` for a file
            of an installed Python package.

    Raises:
        MissingObjectError: there is no such file; the message names it.
    """
    if url.startswith("package://"):
        from anamnesis.storage.package_files import read_package_file  # here, because that module imports this one

        return read_package_file(url)
    if "://" not in url.removeprefix("file://") and Path(unquote(url.removeprefix("file://"))).is_dir():
        raise MissingObjectError(
            f"{url}: expected a file, found a folder; name a file in it, or pack the folder of a MONAI bundle with: "
            "anamnesis backbones import FOLDER"
        )
    folder, separator, name = url.rpartition("/")
    is_in_root = not folder and separator
    return open_store("/" if is_in_root else folder or ".").get(unquote(name) if url.startswith("file://") else name)
