"""A folder or a bucket prefix as a source."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from anamnesis.records import AnamnesisError, RefusedError, UnreachableError
from anamnesis.sources.base import SourceItem
from anamnesis.storage.store import MissingObjectError, ObjectInfo, open_store

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
        with _hide_file_names(self._url) if folder else nullcontext():
            return tuple(_to_item(info) for info in self._store.list() if not _is_skipped(info.key))

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
    except RefusedError:
        raise RefusedError(
            f"source {url!r}: access to a file or folder was denied; check permissions and credentials"
        ) from None
    except UnreachableError:
        raise UnreachableError(
            f"source {url!r}: several requests for a file failed; "
            "check that the server is up and the network reaches it"
        ) from None
    except AnamnesisError:
        raise AnamnesisError(
            f"source {url!r}: a file or folder is unreadable; check the file system or the server"
        ) from None


def _to_item(info: ObjectInfo) -> SourceItem:
    parents = (str(parent) for parent in PurePosixPath(info.key).parents)
    return SourceItem(
        key=info.key, etag=info.etag, size=info.size, manifest_names=(info.key, *parents), locator=info.key
    )


def _is_skipped(key: str) -> bool:
    parts = key.split("/")
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return is_hidden or PurePosixPath(key).suffix.lower() in _UNFINISHED_SUFFIXES
