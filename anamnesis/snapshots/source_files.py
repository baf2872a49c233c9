"""The files of a site's source: listing, fingerprint, and download."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anamnesis.records import (
    AnamnesisError,
    InputError,
    LabelOrigin,
    Progress,
    RefusedError,
    SiteConfig,
    TaskType,
    UnreachableError,
    digest_json,
    encode,
)
from anamnesis.sources import (
    ListingProblem,
    SourceItem,
    fetch_label_manifest,
    find_label_manifest,
    is_dicom_server,
    local_folder,
    open_source,
    parallel_map,
)

INGEST_REVISION = 4
"""Increased when a change of the code gives another snapshot for the same files."""

_MOST_SERVER_FAULTS = 20
"""A server that does not return more files than this is out of order, and the ingest stops."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the source.

    Attributes:
        key: name below the source.
        path: path on this machine.
        manifest_names: see ``SourceItem``.
        problem: see ``SourceItem``.
    """

    key: str
    path: Path
    manifest_names: tuple[str, ...] = ()
    problem: str = ""


def list_source_items(config: SiteConfig) -> tuple[SourceItem, ...]:
    """Returns all files of a site's source, sorted by key, then the label manifest if it is outside the source.

    Raises:
        InputError: the source is empty, or cannot be listed.
    """
    check_label_source(config)
    try:
        items = open_source(config.source).list_items()
    except OSError as error:
        raise InputError(
            f"source {config.source!r}: listing the files failed: {error.strerror}; "
            "check the folder and its permissions"
        ) from error
    if not items:
        raise InputError(f"source {config.source!r}: the source has no files; wait for data, or correct the address")
    external_manifest = config.labels.manifest if config.labels.is_external else ""
    return (*items, find_label_manifest(external_manifest, os.environ)) if external_manifest else items


def check_label_source(config: SiteConfig) -> None:
    """Refuses labels from a DICOM server, which has neither folders nor a manifest.

    Raises:
        InputError: the message names the field.
    """
    if not is_dicom_server(config.source):
        return
    location = f"site {config.name!r}: labels"
    if config.labels.origin is LabelOrigin.MANIFEST and not config.labels.is_external:
        raise InputError(
            f"{location}.manifest: a DICOM server has no manifest; set the URL of a manifest, s3://... or file:///..."
        )
    if config.labels.origin is LabelOrigin.CONTAINER and config.task.type is TaskType.CLASSIFICATION:
        raise InputError(f"{location}.from: a DICOM server has no folders for labels; set labels.from: Manifest")


def check_store_outside_source(source: str, store: str) -> None:
    """Refuses a store inside its source, because every ingest would read the files of the previous one.

    Raises:
        InputError: the message names both.
    """
    source_folder, store_folder = local_folder(source), local_folder(store)
    if source_folder and store_folder:
        is_inside = store_folder.resolve().is_relative_to(source_folder.resolve())
    else:
        is_inside = f"{store}/".startswith(f"{source.rstrip('/')}/")
    if is_inside:
        raise InputError(f"the store {store!r} is inside the source {source!r}; choose a store outside it")


def compute_fingerprint(
    config: SiteConfig, key_fingerprint: str, files: Sequence[SourceItem], withdrawn: str = ""
) -> str:
    """Returns the digest of what determines the result of an ingest: names and tags of files, settings, key.

    The address of the source is not part of it. The samples of the snapshot before it also have a say; see
    ``ingest_result``.

    Args:
        config: settings of the site.
        key_fingerprint: of the split key.
        files: the files.
        withdrawn: digest of the withdrawn patients, or empty.
    """
    settings = encode(config)
    assert isinstance(settings, dict)
    settings.pop("source")
    file_rows = [[_to_utf8(file.key), file.etag, file.size] for file in files]
    content = {"revision": INGEST_REVISION, "site": settings, "key": key_fingerprint, "files": file_rows}
    return digest_json({**content, "withdrawn": withdrawn})


@contextmanager
def fetch_files(source: str, files: Sequence[SourceItem], progress: Progress) -> Iterator[list[SourceFile]]:
    """Downloads the files for the duration of the context; files of a folder are used in place."""
    folder, data_source = local_folder(source), open_source(source)
    remote_items = [
        (number, file) for number, file in enumerate(files) if not file.problem and (not folder or not file.locator)
    ]
    downloaded_paths: dict[int, Path | None] = {}
    with tempfile.TemporaryDirectory() as temporary:
        errors: list[AnamnesisError] = []

        def download(numbered_item: tuple[int, SourceItem]) -> tuple[int, Path | None]:
            number, file = numbered_item
            path = Path(temporary, str(number))
            try:
                path.write_bytes(data_source.read(file) if file.locator else fetch_label_manifest(file.key, os.environ))
            except (InputError, RefusedError, UnreachableError) as error:
                is_server_fault = isinstance(error, UnreachableError) and len(errors) >= _MOST_SERVER_FAULTS
                if not file.locator or is_server_fault:
                    raise
                errors.append(error)
                return number, None
            return number, path

        for number, path in parallel_map(download, remote_items):
            downloaded_paths[number] = path
            progress(len(downloaded_paths), len(remote_items), "files downloaded")
        if errors and not any(downloaded_paths.values()):  # the fault is not that of one file
            raise errors[0]
        missing_numbers = {number for number, path in downloaded_paths.items() if path is None}
        yield [
            SourceFile(
                _to_utf8(file.key),
                downloaded_paths.get(number) or Path(folder or "", file.key),
                tuple(map(_to_utf8, file.manifest_names)),
                ListingProblem.NOT_RETURNED if number in missing_numbers else file.problem,
            )
            for number, file in enumerate(files)
        ]


def _to_utf8(name: str) -> str:
    """Returns a file name as valid UTF-8, with escapes for invalid bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
