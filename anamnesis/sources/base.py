"""One small protocol for every kind of source. No image library is needed to list one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from os import environ
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")
CONNECTIONS = 8
_SINGLE_PATIENT_SUFFIXES = {"", ".dcm", ".png", ".jpg", ".jpeg", ".nii", ".gz"}


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One file of a source.

    Attributes:
        key: its name below the source; on a DICOM server made of hashes, so that it names nobody.
        etag: changes when the content changes; comparable within one source only. DICOMweb knows none.
        size: bytes; 0 where the source does not tell.
        manifest_names: what a manifest may call it, from the innermost: file, folders; or the UIDs of instance, series and
            study, and the accession number.
        locator: where its source finds it again.
    """

    key: str
    etag: str
    size: int
    manifest_names: tuple[str, ...] = ()
    locator: str = ""


class DataSource(Protocol):
    """Lists and reads what a site has."""

    def list_items(self) -> tuple[SourceItem, ...]:
        """Returns every file, sorted by key.

        Raises:
            InputError: the source is not as expected; ``MissingError`` where it is not there.
            RefusedError: it wants other credentials.
            UnreachableError: it does not answer.
        """

    def read(self, item: SourceItem) -> bytes:
        """Returns the bytes of one file; raises as ``items`` does."""


def open_source(url: str, environment: Mapping[str, str] | None = None) -> DataSource:
    """Opens a source without asking it anything.

    Args:
        url: ``file:///...``, ``s3://bucket/prefix``, ``dicomweb+https://host/path`` or ``orthanc+https://host``.
        environment: holds ``AWS_*`` (see ``open_store``), or ``DICOM_USERNAME`` and ``DICOM_PASSWORD``, or
            ``DICOM_TOKEN``; and ``REQUESTS_CA_BUNDLE`` or ``AWS_CA_BUNDLE``. By default that of the process.

    Raises:
        InputError: the URL or the environment is not as expected.
    """
    settings = environ if environment is None else environment
    kind, plus_sign, address = url.partition("+")
    if plus_sign and kind == "dicomweb":
        from anamnesis.sources.dicomweb import DICOMwebDataSource  # brings an HTTP client, which a folder does not need

        return DICOMwebDataSource.from_url(address, settings)
    if plus_sign and kind == "orthanc":
        from anamnesis.sources.orthanc import OrthancDataSource

        return OrthancDataSource.from_url(address, settings)
    from anamnesis.sources.file_source import FileDataSource  # here, because that module needs this one

    return FileDataSource(url, settings)


def is_dicom_server(url: str) -> bool:
    """Returns whether a source is asked for instances, not for files."""
    return url.startswith(("dicomweb+", "orthanc+"))


def instance_key(study: str, instance: str) -> str:
    """Returns the name of an instance: its study's folder and a file, each the start of the UID's SHA-256."""
    return f"{_short_hash(study)}/{_short_hash(instance)}.dcm"


def count_patients_at_most(items: Iterable[SourceItem]) -> int:
    """Returns how many patients some files can show; 0 where one of them may hold many, so that nobody can tell."""
    suffixes = [PurePosixPath(item.key).suffix.lower() for item in items]
    return len(suffixes) if _SINGLE_PATIENT_SUFFIXES.issuperset(suffixes) else 0


def parallel_map(function: Callable[[ArgumentT], ResultT], arguments: Iterable[ArgumentT]) -> Iterator[ResultT]:
    """Yields ``work(one)`` for each, in order, with a few requests under way at once."""
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        yield from threads.map(function, arguments)


def _short_hash(uid: str) -> str:
    return sha256(uid.encode()).hexdigest()[:16]
