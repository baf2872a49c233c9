"""What arrives: a folder or an S3 prefix, listed, fingerprinted, and brought to where readers can open it."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from anamnesis.records import InputError, Progress, SiteConfig, digest_json, encode
from anamnesis.registry.store import ObjectInfo, open_store

REVISION = 1
"""Raised when the same files would give another snapshot, because reading or joining changed."""

_DOWNLOADS = 8


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the source.

    Attributes:
        key: its name below the source.
        path: where it lies on this machine.
    """

    key: str
    path: Path


def scan(source: str) -> tuple[ObjectInfo, ...]:
    """Returns all files of a source, sorted by key.

    Raises:
        InputError: there is none, or it cannot be listed.
    """
    folder = local_folder(source)
    if folder and not folder.is_dir():
        raise InputError(f"source {source!r}: there is no such folder")
    try:
        found = tuple(open_store(source).list())
    except OSError as error:
        raise InputError(f"source {source!r}: cannot be listed: {error.strerror}") from error
    if not found:
        raise InputError(f"source {source!r}: there are no files")
    return found


def check_apart(source: str, store: str) -> None:
    """Refuses a store below its own source: every ingest would find what the last one wrote.

    Raises:
        InputError: names both.
    """
    folder, own = local_folder(source), local_folder(store)
    if folder and own:
        inside = own.resolve().is_relative_to(folder.resolve())
    else:
        inside = f"{store}/".startswith(f"{source.rstrip('/')}/")
    if inside:
        raise InputError(f"store {store!r} lies inside its source {source!r}; keep them apart")


def fingerprint(config: SiteConfig, key_fingerprint: str, files: Sequence[ObjectInfo]) -> str:
    """Returns the digest of everything that decides an ingest's result: files by name and tag, settings, key.

    Where the source lies is no part of it.
    """
    settings = encode(config)
    assert isinstance(settings, dict)
    settings.pop("source")
    listed = [[_text(file.key), file.etag, file.size] for file in files]
    return digest_json({"revision": REVISION, "site": settings, "key": key_fingerprint, "files": listed})


@contextmanager
def fetched(source: str, files: Sequence[ObjectInfo], progress: Progress) -> Iterator[list[SourceFile]]:
    """Brings files to this machine for as long as the context lasts; a folder's files are used where they are."""
    folder = local_folder(source)
    if folder:
        yield [SourceFile(_text(file.key), folder / file.key) for file in files]
        return
    store = open_store(source)
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(_DOWNLOADS) as threads:

        def download(numbered: tuple[int, ObjectInfo]) -> SourceFile:
            number, file = numbered
            path = Path(temporary, f"{number}{PurePosixPath(file.key).suffix}")
            path.write_bytes(store.get(file.key))
            return SourceFile(_text(file.key), path)

        local = []
        for one in threads.map(download, enumerate(files)):
            local.append(one)
            progress(len(local), len(files), "files downloaded")
        yield local


def local_folder(url: str) -> Path | None:
    """Returns the folder that a URL names, or none for a bucket."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).absolute()
    return Path(unquote(rest)) if scheme == "file" else None


def _text(name: str) -> str:
    """A file name as text that every JSON writer takes, also where the name is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
