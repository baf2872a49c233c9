"""One small protocol for every kind of source. No image library is needed to list one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from os import environ
from pathlib import PurePosixPath
from typing import Protocol, TypeVar

Given = TypeVar("Given")
Got = TypeVar("Got")
CONNECTIONS = 8
_ONE_PATIENT = {"", ".dcm", ".png", ".jpg", ".jpeg", ".nii", ".gz"}


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a source.

    Attributes:
        key: its name below the source; on a DICOM server made of hashes, so that it names nobody.
        etag: changes when the content changes; comparable within one source only. DICOMweb knows none.
        size: bytes; 0 where the source does not tell.
        names: what a manifest may call it, from the innermost: file, folders; or the UIDs of instance, series and
            study, and the accession number.
        place: where its source finds it again.
    """

    key: str
    etag: str
    size: int
    names: tuple[str, ...] = ()
    place: str = ""


class Source(Protocol):
    """Lists and reads what a site has."""

    def items(self) -> tuple[Item, ...]:
        """Returns every file, sorted by key.

        Raises:
            InputError: the source is not as expected; ``MissingError`` where it is not there.
            RefusedError: it wants other credentials.
            UnreachableError: it does not answer.
        """

    def read(self, item: Item) -> bytes:
        """Returns the bytes of one file; raises as ``items`` does."""


def open_source(url: str, environment: Mapping[str, str] | None = None) -> Source:
    """Opens a source without asking it anything.

    Args:
        url: ``file:///...``, ``s3://bucket/prefix``, ``dicomweb+https://host/path`` or ``orthanc+https://host``.
        environment: holds ``AWS_*`` (see ``open_store``), or ``DICOM_USERNAME`` and ``DICOM_PASSWORD``, or
            ``DICOM_TOKEN``; and ``REQUESTS_CA_BUNDLE`` or ``AWS_CA_BUNDLE``. By default that of the process.

    Raises:
        InputError: the URL or the environment is not as expected.
    """
    settings = environ if environment is None else environment
    kind, plus, address = url.partition("+")
    if plus and kind == "dicomweb":
        from anamnesis.sources.dicomweb import DICOMweb  # brings an HTTP client, which a folder does not need

        return DICOMweb.at(address, settings)
    if plus and kind == "orthanc":
        from anamnesis.sources.orthanc import Orthanc

        return Orthanc.at(address, settings)
    from anamnesis.sources.file_source import Files  # here, because that module needs this one

    return Files(url, settings)


def is_dicom_server(url: str) -> bool:
    """Returns whether a source is asked for instances, not for files."""
    return url.startswith(("dicomweb+", "orthanc+"))


def instance_key(study: str, instance: str) -> str:
    """Returns the name of an instance: its study's folder and a file, each the start of the UID's SHA-256."""
    return f"{_short(study)}/{_short(instance)}.dcm"


def patients_at_most(items: Iterable[Item]) -> int:
    """Returns how many patients some files can show; 0 where one of them may hold many, so that nobody can tell."""
    listed = [PurePosixPath(item.key).suffix.lower() for item in items]
    return len(listed) if _ONE_PATIENT.issuperset(listed) else 0


def spread(work: Callable[[Given], Got], given: Iterable[Given]) -> Iterator[Got]:
    """Yields ``work(one)`` for each, in order, with a few requests under way at once."""
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        yield from threads.map(work, given)


def _short(uid: str) -> str:
    return sha256(uid.encode()).hexdigest()[:16]
