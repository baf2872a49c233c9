"""Reader of NPZ files: the layout of MedMNIST, and ``images, labels, groups, split, class_names, masks``."""

import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.lib import format as npy

from anamnesis.imaging.errors import ReadError, ReadErrorReason, translate_read_errors
from anamnesis.imaging.header import Header
from anamnesis.imaging.npz_axes import drop_single_axis, image_axes
from anamnesis.imaging.pixels import Pixels, check_size, to_image
from anamnesis.records import Image

_CHUNK = 1 << 24
_END_RECORD_BYTES = 22  # of the ZIP format, with the number of members at byte 10
_PATIENT_NAME = re.compile(
    r"(patients?|pat|subjects?|participants?|persons?|cases?|group|pids?|mrns?|medical_?records?)(_?(id|no|number|name)s?)?",
    re.I,
)
_SPLIT_WORDS = {"": "", "0": "train", "1": "test"} | {
    word: word for word in ("train", "training", "val", "valid", "validation", "calibration", "test")
}
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read_headers(path: Path) -> list[Header]:
    """Returns the header of each image of a file. It reads all image bytes once to compare their checksums.

    Raises:
        ReadError: the file is unreadable, needs pickle, or has another layout.
    """
    with translate_read_errors(), zipfile.ZipFile(path) as archive:
        members = _list_members(path, archive)
        _check_patient_name(members)
        if "images" in members:
            return _single_array_headers(archive, members)
        parts = [part for part in _SPLITS if f"{part}_images" in members]
        if not parts:
            raise ReadError(
                ReadErrorReason.UNEXPECTED_LAYOUT,
                f"expected an array with the name 'images' or 'train_images' in the NPZ file, "
                f"found the arrays {sorted(members)[:20]}; rename the array of the images",
            )
        return [header for part in parts for header in _medmnist_headers(archive, part)]


def _list_members(path: Path, archive: zipfile.ZipFile) -> set[str]:
    """Returns the names of all arrays; ``zipfile`` does not compare their number with that at the end of the file."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    with path.open("rb") as file:
        file.seek(-_END_RECORD_BYTES - len(archive.comment), os.SEEK_END)
        end_record = file.read(_END_RECORD_BYTES)
    if int.from_bytes(end_record[10:12], "little") != len(names):
        raise ReadError(ReadErrorReason.UNREADABLE, "the list of arrays in the NPZ file is damaged; copy it again")
    for member in archive.infolist():
        archive.open(member).close()  # this compares the two copies of its name
    if len(set(names)) != len(names):
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT, "an array occurs twice in the NPZ file; write the NPZ file again"
        )
    return set(names)


def _check_patient_name(members: set[str]) -> None:
    """Refuses an array of patients under another name: without it, one patient could be on both sides of a split."""
    names = [name for name in sorted(members) if _PATIENT_NAME.fullmatch(name)]
    if names and "groups" not in members:
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            f"expected the patient of each image in an array 'groups', found {names[0]!r}; rename it to 'groups'",
        )


def iter_rows(path: Path, member: str, row_numbers: Iterable[int]) -> Iterator[Image | ReadError]:
    """Yields the images at ``row_numbers``, which must ascend; reads the array in chunks.

    For an unusable image it yields the error, and continues with the next row.

    Raises:
        ReadError: the file has become unreadable.
    """
    stream = _iter_pixels(path, member, row_numbers)
    while True:
        with translate_read_errors():  # around each step, because around a yield it would mute the caller's warnings
            pixels = next(stream, None)
        if pixels is None:
            return
        yield _to_image(pixels)


def _iter_pixels(path: Path, member: str, row_numbers: Iterable[int]) -> Iterator[Pixels]:
    with zipfile.ZipFile(path) as archive, archive.open(f"{member}.npy") as stream:
        shape, fortran, dtype = _read_array_header(cast(BinaryIO, stream))
        chunks = _iter_chunks(cast(BinaryIO, stream), shape, fortran, dtype)
        start, chunk = next(chunks)
        for row in row_numbers:
            while row >= start + len(chunk):
                start, chunk = next(chunks)
            yield chunk[row - start]


def _to_image(pixels: Pixels) -> Image | ReadError:
    axes = image_axes((1, *pixels.shape))
    pixels = drop_single_axis(pixels, axes)
    try:
        return to_image(pixels, (1.0,) * len(axes.removesuffix("C")), axes)
    except ReadError as error:
        return error


def _single_array_headers(archive: zipfile.ZipFile, members: set[str]) -> list[Header]:
    count = _check_member(archive, "images")[0]
    masks = "masks" if "masks" in members else ""
    if masks and _check_member(archive, masks)[0] != count:
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            "the arrays 'masks' and 'images' differ in length; write one mask for each image",
        )
    labels = _read_column(archive, "labels", count) if "labels" in members else [None] * count
    names = [str(name) for name in _read_array(archive, "class_names")] if "class_names" in members else []
    groups = _read_column(archive, "groups", count) if "groups" in members else [""] * count
    splits = _read_column(archive, "split", count) if "split" in members else [""] * count
    return [
        Header(
            member="images",
            row=row,
            patient=str(group),
            label=_class_label(label, names),
            split=_split_word(split),
            mask=masks,
        )
        for row, (label, group, split) in enumerate(zip(labels, groups, splits, strict=True))
    ]


def _medmnist_headers(archive: zipfile.ZipFile, part: str) -> list[Header]:
    count = _check_member(archive, f"{part}_images")[0]
    labels = _read_column(archive, f"{part}_labels", count)
    split = _SPLITS[part]
    return [
        Header(member=f"{part}_images", row=row, label=_class_label(labels[row], []), split=split)
        for row in range(count)
    ]


def _split_word(value: object) -> str:
    word = _SPLIT_WORDS.get(str(value).strip().lower())
    if word is None:
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            f"array split: expected 0 (train), 1 (test) or one of {', '.join(filter(str.isalpha, _SPLIT_WORDS))}, "
            "found another value; write the array again",
        )
    return word


def _class_label(value: object, names: list[str]) -> str | int | None:
    """Returns a name unchanged, and the name of a number where there are names; -1 and empty text mean no label yet."""
    if value is None or value == "" or (isinstance(value, int) and value < 0):
        return None
    if isinstance(value, int):
        return value if not names else names[value] if value < len(names) else str(value)
    return str(value)


def _read_column(archive: zipfile.ZipFile, name: str, count: int) -> list[object]:
    """Returns one value for each image; MedMNIST adds a second axis of length one."""
    values = _read_array(archive, name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (count,) or values.dtype.kind not in "iubU":
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            f"array {name}: expected one whole number or text for each of the {count} images, "
            f"found the shape {values.shape} of {values.dtype}; write the array again",
        )
    return cast(list[object], values.tolist())


def _read_array(archive: zipfile.ZipFile, name: str) -> Pixels:
    with archive.open(f"{name}.npy") as stream:
        shape, _, dtype = _read_array_header(cast(BinaryIO, stream))
        check_size(shape, dtype.itemsize)
    with archive.open(f"{name}.npy") as stream:
        values = cast(Pixels, npy.read_array(cast(BinaryIO, stream), allow_pickle=False))
        if stream.read(1):  # this reads to the end of the member, which compares its checksum
            raise ReadError(
                ReadErrorReason.UNEXPECTED_LAYOUT,
                f"array {name}: the file has more bytes than its shape needs; write the NPZ file again",
            )
        return values


def _check_member(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Reads a member to its end, which compares its checksum, and returns its shape."""
    with archive.open(f"{name}.npy") as stream:
        shape, _, dtype = _read_array_header(cast(BinaryIO, stream))
        image_axes(shape)
        check_size(shape[1:], dtype.itemsize)
        expected_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        byte_count = 0
        while block := stream.read(_CHUNK):
            byte_count += len(block)
            if byte_count > expected_bytes:
                break
    if byte_count != expected_bytes:
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            f"array {name}: expected the {expected_bytes} bytes of its shape, found fewer or more; "
            "write the NPZ file again",
        )
    return shape


def _read_array_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    header_reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if header_reader is None:
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            f"array format {version}: expected (1, 0) or (2, 0); write the NPZ file with numpy.savez",
        )
    shape, fortran, dtype = header_reader(stream)
    if dtype.hasobject:
        raise ReadError(
            ReadErrorReason.UNEXPECTED_LAYOUT,
            "an array of Python objects needs pickle, which can run code; write an array of numbers or texts",
        )
    return shape, fortran, dtype


def _iter_chunks(
    stream: BinaryIO, shape: tuple[int, ...], fortran: bool, dtype: np.dtype[np.generic]
) -> Iterator[tuple[int, Pixels]]:
    """Yields (first row, rows) in chunks of about ``_CHUNK`` bytes."""
    if fortran:  # the rows are scattered over the whole array
        check_size(shape, dtype.itemsize)
        data = np.frombuffer(stream.read(), dtype)
        yield 0, data.reshape(shape, order="F")
        return
    size = int(np.prod(shape[1:])) * dtype.itemsize
    step = max(1, _CHUNK // size)
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        yield start, np.frombuffer(stream.read(count * size), dtype).reshape(count, *shape[1:])
