"""Files in a folder or below a bucket's prefix."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from anamnesis.records import AnamnesisError, RefusedError, UnreachableError
from anamnesis.sources.base import SourceItem
from anamnesis.storage.store import MissingObjectError, ObjectInfo, open_store

_UNFINISHED_SUFFIXES = {".part", ".partial", ".tmp", ".filepart", ".crdownload"}
"""What programs that copy and upload append until a file is whole."""


class FileDataSource:
    """A folder or a bucket's prefix. Hidden files and those that are still being written are no part of it."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self._url, self._store = url, open_store(url, environment)

    def list_items(self) -> tuple[SourceItem, ...]:
        """See ``Source.items``. A folder must exist; an empty one has no items, as an empty prefix."""
        folder = local_folder(self._url)
        if folder and not folder.is_dir():
            raise MissingObjectError(f"source {self._url!r}: there is no such folder")
        with _hide_file_names(self._url) if folder else nullcontext():
            return tuple(_to_item(info) for info in self._store.list() if not _is_skipped(info.key))

    def read(self, item: SourceItem) -> bytes:
        """See ``Source.read``."""
        with _hide_file_names(self._url):
            return self._store.get(item.key)


def local_folder(url: str) -> Path | None:
    """Returns the folder that a URL names, or none where it lies elsewhere."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).absolute()
    return Path(unquote(rest)) if scheme == "file" else None


def find_label_manifest(url: str, environment: Mapping[str, str]) -> SourceItem:
    """Returns a manifest of labels that lies outside its source; its key is the URL.

    Raises:
        MissingError: it is not there.
    """
    parent, name = split_manifest_url(url)
    for info in open_store(parent, environment).list(name):
        if info.key == name:
            return SourceItem(url, info.etag, info.size)
    raise MissingObjectError(f"labels.manifest: there is no {url!r}")


def fetch_label_manifest(url: str, environment: Mapping[str, str]) -> bytes:
    """Returns the bytes of a manifest of labels that lies outside its source."""
    parent, name = split_manifest_url(url)
    return open_store(parent, environment).get(name)


def split_manifest_url(url: str) -> tuple[str, str]:
    """Returns the URL of the store that holds a manifest, and its key there."""
    parent, _, name = url.rpartition("/")
    return parent, unquote(name) if url.startswith("file://") else name


@contextmanager
def _hide_file_names(url: str) -> Iterator[None]:
    """A file's name may be a patient's: what goes wrong below a source names the source alone, also as a cause."""
    try:
        yield
    except MissingObjectError:
        raise MissingObjectError(f"source {url!r}: a file that was listed is gone; look again") from None
    except RefusedError:
        raise RefusedError(f"source {url!r}: not everything in it may be read; check rights and credentials") from None
    except UnreachableError:
        raise UnreachableError(f"source {url!r}: no answer to several requests for a file") from None
    except AnamnesisError:
        raise AnamnesisError(f"source {url!r}: a file or folder in it cannot be read") from None


def _to_item(info: ObjectInfo) -> SourceItem:
    parents = (str(parent) for parent in PurePosixPath(info.key).parents)
    return SourceItem(info.key, info.etag, info.size, (info.key, *parents), info.key)


def _is_skipped(key: str) -> bool:
    parts = key.split("/")
    is_hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return is_hidden or PurePosixPath(key).suffix.lower() in _UNFINISHED_SUFFIXES
