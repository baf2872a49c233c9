"""The texts and pixels that must not leave a site, and a search for them in any bytes."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

FIELDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientAddress",
    "StudyDate",
    "AccessionNumber",
    "InstitutionName",
    "ReferringPhysicianName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)
WORD_BYTES = 8
SPAN_BYTES = 32
"""Number of consecutive bytes of a row that count as a leak."""


def identifying_texts(folder: Path) -> set[str]:
    """Returns everything in the headers of a site's phantoms that could identify a person, and the file names."""
    texts = set()
    for path in folder.rglob("IM*"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        texts |= {str(dataset[name].value) for name in FIELDS}
        texts |= {
            part for name in ("PatientName", "ReferringPhysicianName") for part in str(dataset[name].value).split("^")
        }
        texts |= {str(element.value) for element in dataset if element.tag.is_private}
        texts.add(path.name)
    return texts


def folder_bytes(folder: Path) -> bytes:
    """Returns the contents and names of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"\0".join(path.read_bytes() + b"\0" + str(path.relative_to(folder)).encode() for path in files)


def find_texts(data: bytes, texts: Iterable[str]) -> set[str]:
    """Returns the texts that the data contains in one of several encodings, ignoring case."""
    data = data.lower()
    return {text for text in texts if any(form in data for form in _forms(text))}


def _forms(text: str) -> Iterator[bytes]:
    plain = text.lower().encode()
    yield plain
    yield from (text.lower().encode(encoding) for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"))
    yield from (form.hex().encode() for form in (text.encode(), plain, text.encode("utf-16-le")))


def count_rows(data: bytes, images: Sequence[NDArray[np.generic]]) -> int:
    """Returns the number of image rows that the data contains: as bytes, in hexadecimal, or in base64.

    Only the middle of each row is searched. Rows with few different bytes, such as an empty background, are skipped.
    """
    needles = {form for image in images for row in image for form in _encodings(_middle(row.tobytes()))}
    prefixes = np.unique(np.frombuffer(b"".join(needle[:WORD_BYTES] for needle in needles), np.uint64))
    matches = set()
    for offset in range(WORD_BYTES):
        part = np.frombuffer(data, np.uint64, (len(data) - offset) // WORD_BYTES, offset)
        for index in np.flatnonzero(np.isin(part, prefixes)):
            begin = offset + WORD_BYTES * int(index)
            matches |= {data[begin : begin + size] for size in (SPAN_BYTES, 2 * SPAN_BYTES, 40)} & needles
    return len(matches)


def _middle(row: bytes) -> bytes:
    begin = max(0, (len(row) - SPAN_BYTES) // 2)
    return row[begin : begin + SPAN_BYTES]


def _encodings(row: bytes) -> Iterator[bytes]:
    if len(row) == SPAN_BYTES and len(set(row)) >= 12:
        yield row
        yield row.hex().encode()
        yield from (b64encode(row[start:])[:40] for start in range(3) if len(b64encode(row[start:])) >= 40)
