"""What arrives at a site: listed, fingerprinted, and brought to where readers can open it."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anamnesis.records import InputError, LabelsFrom, Progress, SiteConfig, TaskType, digest_json, encode
from anamnesis.sources import Item, is_dicom_server, local_folder, manifest_item, open_source, read_manifest, spread

REVISION = 1
"""Raised when the same files would give another snapshot, because reading or joining changed."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the source.

    Attributes:
        key: its name below the source.
        path: where it lies on this machine.
        names: see ``Item``.
    """

    key: str
    path: Path
    names: tuple[str, ...] = ()


def scan(config: SiteConfig) -> tuple[Item, ...]:
    """Returns all files of a site's source, sorted by key, and last a manifest that lies elsewhere.

    Raises:
        InputError: there is none, or it cannot be listed.
    """
    check_labels(config)
    try:
        found = open_source(config.source).items()
    except OSError as error:
        raise InputError(f"source {config.source!r}: cannot be listed: {error.strerror}") from error
    if not found:
        raise InputError(f"source {config.source!r}: there are no files")
    outside = config.labels.manifest if config.labels.outside else ""
    return (*found, manifest_item(outside, os.environ)) if outside else found


def check_labels(config: SiteConfig) -> None:
    """Refuses labels that a DICOM server cannot have: it has neither folders nor a manifest.

    Raises:
        InputError: names the field.
    """
    if not is_dicom_server(config.source):
        return
    where = f"site {config.name!r}: labels"
    if config.labels.origin is LabelsFrom.MANIFEST and not config.labels.outside:
        raise InputError(f"{where}.manifest: a DICOM server holds no manifest; give its URL, s3://... or file:///...")
    if config.labels.origin is LabelsFrom.CONTAINER and config.task.type is TaskType.CLASSIFICATION:
        raise InputError(f"{where}.from: a DICOM server has no folders to take labels from; choose Manifest")


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


def fingerprint(config: SiteConfig, key_fingerprint: str, files: Sequence[Item]) -> str:
    """Returns the digest of everything that decides an ingest's result: files by name and tag, settings, key.

    Where the source lies is no part of it.
    """
    settings = encode(config)
    assert isinstance(settings, dict)
    settings.pop("source")
    listed = [[_text(file.key), file.etag, file.size] for file in files]
    return digest_json({"revision": REVISION, "site": settings, "key": key_fingerprint, "files": listed})


@contextmanager
def fetched(source: str, files: Sequence[Item], progress: Progress) -> Iterator[list[SourceFile]]:
    """Brings files to this machine for as long as the context lasts; a folder's files are used where they are."""
    folder, opened = local_folder(source), open_source(source)
    far = [(number, file) for number, file in enumerate(files) if not folder or not file.place]
    brought: dict[int, Path] = {}
    with tempfile.TemporaryDirectory() as temporary:

        def download(numbered: tuple[int, Item]) -> tuple[int, Path]:
            number, file = numbered
            path = Path(temporary, f"{number}{PurePosixPath(file.key).suffix}")
            path.write_bytes(opened.read(file) if file.place else read_manifest(file.key, os.environ))
            return number, path

        for number, path in spread(download, far):
            brought[number] = path
            progress(len(brought), len(far), "files downloaded")
        yield [
            SourceFile(
                _text(file.key), brought.get(number) or Path(folder or "", file.key), tuple(map(_text, file.names))
            )
            for number, file in enumerate(files)
        ]


def _text(name: str) -> str:
    """A file name as text that every JSON writer takes, also where the name is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
