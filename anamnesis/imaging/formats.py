"""Detection of a file's format by its first bytes, because suffixes may be wrong."""

import re
import zlib
from enum import StrEnum
from pathlib import Path, PurePosixPath

from anamnesis.imaging.errors import ReadError, ReadErrorReason, translate_read_errors

_HEAD_BYTES = 4096
_NIFTI_HEAD_BYTES = 352
# Group 2 or 8, a low element number, then a value representation or the length of a short value.
_DATA_SET = re.compile(rb"[\x02\x08]\0[\0-\x20]\0([A-Z]{2}|.\0\0\0)", re.S)
_DOCUMENT_SUFFIXES = {".md", ".txt", ".csv", ".tsv", ".json", ".yaml", ".yml", ".xml", ".html", ".pdf", ".log"}
_DOCUMENT_NAMES = re.compile(
    r"thumbs\.db|desktop\.ini|dicomdir|(licen[cs]e|readme|copying|notice|sha256sums|md5sums).*", re.I
)


class Format(StrEnum):
    """The supported formats."""

    DICOM = "DICOM"
    NIFTI = "NIfTI"
    PNG = "PNG"
    JPEG = "JPEG"
    NPZ = "NPZ"


def detect_format(path: Path) -> Format | None:
    """Returns the format of a file according to its bytes, or none.

    Raises:
        ReadError: the path is not a file, or the file cannot be opened.
    """
    with translate_read_errors():
        if not path.is_file():
            raise ReadError(ReadErrorReason.NOT_A_FILE)
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    if head[:2] == b"\x1f\x8b":
        head = _decompress_head(head)
        return Format.NIFTI if _is_nifti(head) else None
    if head[128:132] == b"DICM":
        return Format.DICOM
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if head.startswith(b"PK\x03\x04"):
        length = int.from_bytes(head[26:28], "little")
        return Format.NPZ if head[30 : 30 + length].endswith(b".npy") else None
    return Format.NIFTI if _is_nifti(head) else None


def is_image_file(key: str, path: Path) -> bool:
    """Returns whether a file is meant as an image, readable or not.

    These files are skipped silently: hidden files and files in hidden folders; and, unless their bytes are an image,
    ``Thumbs.db``, ``DICOMDIR``, licences, read-me files, and texts, tables and reports by their suffix.

    Raises:
        ReadError: the path is not a file, or the file cannot be opened.
    """
    name = PurePosixPath(key).name
    if any(part.startswith(".") or part == "__MACOSX" for part in key.split("/")):
        return False
    is_document = (
        _DOCUMENT_NAMES.fullmatch(name) is not None or PurePosixPath(name).suffix.lower() in _DOCUMENT_SUFFIXES
    )
    return not is_document or detect_format(path) is not None


def is_headless_dicom(path: Path) -> bool:
    """Returns whether a file starts as a DICOM data set does, without the preamble of a file."""
    with translate_read_errors(), path.open("rb") as file:
        return _DATA_SET.match(file.read(8)) is not None


def _decompress_head(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, _NIFTI_HEAD_BYTES)
    except zlib.error as error:
        raise ReadError(ReadErrorReason.UNREADABLE, f"{error}; copy the file again") from None


def _is_nifti(head: bytes) -> bool:
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"
