"""The texts and pixels that must not leave a site, and a search for them in any bytes."""

import csv
import json
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

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
DECLARED_NAMES = {"labels.csv", "images.npz"}
"""Names of files that are in the resources of the tests."""
MINIMUM_LETTERS = START_BYTES = 4
WORD_BYTES = 8
SPAN_BYTES = 32
"""Number of consecutive bytes of a row that count as a leak."""


def identifying_texts(folder: Path) -> set[str]:
    """Returns everything in the files of a site that could identify a person: headers, groups, tables, file names."""
    texts: set[str] = set()
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in DECLARED_NAMES:
            texts |= {path.name, path.name.partition(".")[0]}
        if path.is_file() and pydicom.misc.is_dicom(path):
            texts |= _header_texts(path)
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                texts |= {str(group) for name in arrays.files if name == "groups" for group in arrays[name]}
        elif path.suffix == ".csv":
            texts |= {row.get(name) or "" for row in _read_table(path) for name in ("file", "patient")}
    return {text for text in texts if len(text) >= MINIMUM_LETTERS}


def _header_texts(path: Path) -> set[str]:
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except Exception:  # a broken file: its name is searched
        return set()
    texts = {str(dataset[name].value) for name in FIELDS if name in dataset}
    names = [str(dataset.get(name, "")) for name in ("PatientName", "ReferringPhysicianName")]
    texts |= {part for name in names for part in name.split("^")}
    return texts | {str(element.value) for element in dataset if element.tag.is_private}


def _read_table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def folder_bytes(folder: Path) -> bytes:
    """Returns the contents and names of all files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"\0".join(path.read_bytes() + b"\0" + str(path.relative_to(folder)).encode() for path in files)


def find_texts(data: bytes, texts: Iterable[str]) -> set[str]:
    """Returns the texts that the data contains in one of several encodings, ignoring case."""
    data = data.lower()
    forms = [(text, form) for text in texts for form in _forms(text)]
    starts = np.frombuffer(b"".join(form[:START_BYTES].ljust(START_BYTES) for _, form in forms), np.uint32)
    is_possible = np.isin(starts, _all_starts(data))  # a search for thousands of texts would take seconds
    return {text for (text, form), possible in zip(forms, is_possible, strict=True) if possible and form in data}


def _all_starts(data: bytes) -> NDArray[np.uint32]:
    """Returns every sequence of four bytes in the data, as a number."""
    count = [max(0, len(data) - offset) // START_BYTES for offset in range(START_BYTES)]
    parts = [np.frombuffer(data, np.uint32, count[offset], offset) for offset in range(START_BYTES) if count[offset]]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.uint32)


def _forms(text: str) -> Iterator[bytes]:
    for spelling in {text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}:
        plain = spelling.lower().encode()
        yield plain
        yield from (spelling.lower().encode(encoding) for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"))
        yield from (form.hex().encode() for form in (spelling.encode(), plain, spelling.encode("utf-16-le")))
        yield quote(spelling).lower().encode()
        yield json.dumps(spelling)[1:-1].lower().encode()
        yield from (form.lower() for form in _base64_forms(spelling.encode()))


def _base64_forms(data: bytes) -> Iterator[bytes]:
    """Yields the part of the base64 text that depends on ``data`` alone, for each place in a group of three bytes."""
    for offset in range(3):
        if len(form := b64encode(bytes(offset) + data)[4 * bool(offset) : -4]) >= 12:
            yield form


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
