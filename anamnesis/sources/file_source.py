"""A folder or a bucket prefix as a source."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from anamnesis.records import AnamnesisError, InputError, RefusedError, UnreachableError
from anamnesis.sources.base import ListingProblem, SourceItem
from anamnesis.sources.folder_listing import FolderEntry, list_folder
from anamnesis.storage.store import MissingObjectError, ObjectInfo, check_key, open_store

_UNFINISHED_SUFFIXES = {".part", ".partial", ".tmp", ".filepart", ".crdownload"}
"""Suffixes that copy and upload programs append while a file is incomplete."""


class FileDataSource:
    """Lists and reads the files of a folder or a bucket prefix, except hidden and incomplete files."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self._url, self._store = url, open_store(url, environment)

    def list_items(self) -> tuple[SourceItem, ...]:
        """See ``DataSource.list_items``. A folder must exist; an empty folder or prefix has no items."""
        folder = local_folder(self._url)
        if folder and not folder.is_dir():
            raise MissingObjectError(
                f"source {self._url!r}: the folder does not exist; create or mount it, or correct the address"
            )
        if folder:
            with _hide_file_names(self._url):
                return tuple(map(_to_item, list_folder(folder, _is_skipped)))
        return tuple(_check_name(_to_item(info)) for info in self._store.list() if not _is_skipped(info.key))

    def read(self, item: SourceItem) -> bytes:
        """See ``DataSource.read``."""
        with _hide_file_names(self._url):
            return self._store.get(item.key)


def local_folder(url: str) -> Path | None:
    """Returns the folder of a URL, or none when the URL is not that of a folder."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).absolute()
    return Path(unquote(rest)) if scheme == "file" else None


def find_label_manifest(url: str, environment: Mapping[str, str]) -> SourceItem:
    """Returns a label manifest outside the source as an item; its key is the URL.

    Raises:
        MissingObjectError: the manifest does not exist.
    """
    parent, name = split_manifest_url(url)
    for info in open_store(parent, environment).list(name):
        if info.key == name:
            return SourceItem(url, info.etag, info.size)
    raise MissingObjectError(f"labels.manifest: {url!r} does not exist; correct the address, or upload the manifest")


def fetch_label_manifest(url: str, environment: Mapping[str, str]) -> bytes:
    """Returns the bytes of a label manifest outside the source."""
    parent, name = split_manifest_url(url)
    return open_store(parent, environment).get(name)


def split_manifest_url(url: str) -> tuple[str, str]:
    """Returns the URL of the store of a manifest, and its key there."""
    parent, _, name = url.rpartition("/")
    return parent, unquote(name) if url.startswith("file://") else name


@contextmanager
def _hide_file_names(url: str) -> Iterator[None]:
    """Removes file names from errors and their causes, because a file name may contain the name of a patient."""
    try:
        yield
    except MissingObjectError:
        raise MissingObjectError(f"source {url!r}: a listed file was deleted; repeat the ingest") from None
    except (RefusedError, PermissionError):
        raise RefusedError(
            f"source {url!r}: access to a file or folder was denied; check permissions and credentials"
        ) from None
    except UnreachableError:
        raise UnreachableError(
            f"source {url!r}: several requests for a file failed; "
            "check that the server is up and the network reaches it"
        ) from None
    except (AnamnesisError, OSError):
        raise AnamnesisError(
            f"source {url!r}: a file or folder is unreadable; check the file system or the server"
        ) from None


def _to_item(entry: ObjectInfo | FolderEntry) -> SourceItem:
    parents = (str(parent) for parent in PurePosixPath(entry.key).parents)
    return SourceItem(
        key=entry.key,
        etag=entry.etag,
        size=entry.size,
        manifest_names=(entry.key, *parents),
        locator=entry.key,
        problem=entry.problem if isinstance(entry, FolderEntry) else "",
    )


def _check_name(item: SourceItem) -> SourceItem:
    """Marks an object whose name a bucket accepts, but which is not a path below the prefix, such as ``a//b``."""
    try:
        check_key(item.key)
    except InputError:
        return replace(item, problem=ListingProblem.UNREADABLE_NAME)
    return item


def _is_skipped(key: str) -> bool:
    parts = key.split("/")
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return is_hidden or PurePosixPath(key).suffix.lower() in _UNFINISHED_SUFFIXES
