"""The protocol of all data sources. Listing a source needs no image library."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from os import environ
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

from anamnesis.records import InputError

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")
CONNECTIONS = 8
_SINGLE_PATIENT_SUFFIXES = {"", ".dcm", ".png", ".jpg", ".jpeg", ".nii", ".gz"}


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One file of a source.

    Attributes:
        key: name below the source; on a DICOM server made of hashes, so that it contains no identifier.
        etag: changes when the content changes; comparable within one source only. Empty on a DICOMweb server.
        size: in bytes; 0 where the source does not report it.
        manifest_names: names under which a manifest may list the file, from the innermost: file, folders; or the UIDs
            of instance, series and study, and the accession number.
        locator: address of the file for its source.
        problem: one of ``ListingProblem`` when the file cannot be read; else empty.
    """

    key: str
    etag: str
    size: int
    manifest_names: tuple[str, ...] = ()
    locator: str = ""
    problem: str = ""


class ListingProblem(StrEnum):
    """Reasons why one entry of a source cannot be read. The others are read."""

    BROKEN_LINK = "the link leads to nothing, or to itself"
    LINK_TO_PARENT = "the link leads to a folder that contains the link"
    NOT_A_FILE = "the entry is not a regular file"
    NOT_LISTED = "the server counts the instance, but does not list it; the next ingest tries again"
    NOT_RETURNED = "the source lists the file, but does not return it; the next ingest tries again"
    UNREADABLE_NAME = "the name has an empty part or '..' between its slashes; upload the file under another name"


class IncompleteListError(InputError):
    """A server does not return its whole list. A part is never used as the whole: samples would seem to be deleted."""


class DataSource(Protocol):
    """Lists and reads the files of a site."""

    def list_items(self) -> tuple[SourceItem, ...]:
        """Returns all files, sorted by key.

        Raises:
            InputError: the source is not as expected; ``MissingObjectError`` when it does not exist.
            RefusedError: the source refuses the credentials.
            UnreachableError: the source is unreachable.
        """

    def read(self, item: SourceItem) -> bytes:
        """Returns the bytes of one file; raises the errors of ``list_items``."""


def open_source(url: str, environment: Mapping[str, str] | None = None) -> DataSource:
    """Opens a source; sends no request.

    Args:
        url: ``file:///...``, ``s3://bucket/prefix``, ``dicomweb+https://host/path`` or ``orthanc+https://host``.
        environment: has ``AWS_*`` (see ``open_store``), or ``DICOM_USERNAME`` and ``DICOM_PASSWORD``, or
            ``DICOM_TOKEN``; and ``REQUESTS_CA_BUNDLE`` or ``AWS_CA_BUNDLE``. The default is that of the process.

    Raises:
        InputError: the URL or the environment is not as expected; the message names the part.
    """
    settings = environ if environment is None else environment
    kind, plus_sign, address = url.partition("+")
    if plus_sign and kind == "dicomweb":
        from anamnesis.sources.dicomweb import DICOMwebDataSource  # imports an HTTP client, which a folder never needs

        return DICOMwebDataSource.from_url(address, settings)
    if plus_sign and kind == "orthanc":
        from anamnesis.sources.orthanc import OrthancDataSource

        return OrthancDataSource.from_url(address, settings)
    from anamnesis.sources.file_source import FileDataSource  # here, because that module imports this one

    return FileDataSource(url, settings)


def is_dicom_server(url: str) -> bool:
    """Returns whether a source is a DICOM server: it has instances instead of files."""
    return url.startswith(("dicomweb+", "orthanc+"))


def instance_key(study: str, instance: str) -> str:
    """Returns the key of an instance, ``<study>/<instance>.dcm``: each is the start of the SHA-256 of the UID."""
    return f"{_short_hash(study)}/{_short_hash(instance)}.dcm"


def count_patients_at_most(items: Iterable[SourceItem]) -> int:
    """Returns the largest possible number of patients in some files; 0 when a file may hold several patients."""
    suffixes = [PurePosixPath(item.key).suffix.lower() for item in items]
    return len(suffixes) if _SINGLE_PATIENT_SUFFIXES.issuperset(suffixes) else 0


def parallel_map(function: Callable[[ArgumentT], ResultT], arguments: Iterable[ArgumentT]) -> Iterator[ResultT]:
    """Yields ``function(argument)`` for each argument, in order; ``CONNECTIONS`` threads call the function."""
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        yield from threads.map(function, arguments)


def _short_hash(uid: str) -> str:
    return sha256(uid.encode()).hexdigest()[:16]
