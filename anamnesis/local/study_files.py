"""The files of a study that a person gives: one file, a folder, or a zip file. No archive may fill the disk."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from anamnesis.imaging import ReadError
from anamnesis.imaging.formats import detect_format
from anamnesis.records import InputError, ignore_progress
from anamnesis.snapshots.source_files import SourceFile, fetch_files
from anamnesis.sources import open_source

MAXIMUM_FILES = 50_000
MAXIMUM_BYTES = 8 << 30
MAXIMUM_RATIO = 200
"""Largest factor of compression beyond ``_FREE_BYTES``; images of scanners reach about 20."""
_FREE_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20
_ROOT = "study"
"""Every file is below one folder, because the first folder of a source's files can be a label."""
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError)


@contextmanager
def open_study_files(path: Path) -> Iterator[list[SourceFile]]:
    """Yields the files at a path; those of a zip file exist as long as the context.

    Raises:
        InputError: the path does not exist, or the zip file is damaged, encrypted or too large.
    """
    if path.is_dir():
        source = path.absolute().as_uri()
        with fetch_files(source, open_source(source).list_items(), ignore_progress) as files:
            yield [_below_root(file) for file in files]
    elif not path.exists():
        raise InputError(f"{str(path)!r}: there is no such file or folder; correct the path")
    elif _is_zip(path):
        with tempfile.TemporaryDirectory() as folder:
            yield _extract(path, Path(folder))
    else:
        yield [_below_root(SourceFile(path.name, path, (path.name,)))]


def _below_root(file: SourceFile) -> SourceFile:
    return replace(file, key=f"{_ROOT}/{file.key}")


def _is_zip(path: Path) -> bool:
    """Whether it is an archive of files; an NPZ is a zip file too, but an image."""
    try:
        return detect_format(path) is None and zipfile.is_zipfile(path)
    except ReadError:
        return False


def _extract(path: Path, folder: Path) -> list[SourceFile]:
    """Writes the members to numbered files, so that no name in the archive becomes a path."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            _check_sizes(path, members, folder)
            return list(_extract_members(archive, members, folder, path.stat().st_size))
    except _ZIP_ERRORS as error:
        raise InputError(
            f"{str(path)!r}: the zip file is damaged, encrypted or of an unknown kind ({type(error).__name__}); "
            "pack the files again without a password, or give the folder"
        ) from None


def _extract_members(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, archive_bytes: int
) -> Iterator[SourceFile]:
    remaining_bytes = min(MAXIMUM_BYTES, max(_FREE_BYTES, MAXIMUM_RATIO * archive_bytes))
    for number, member in enumerate(members):
        target = folder / str(number)
        with archive.open(member) as packed, target.open("wb") as file:
            while chunk := packed.read(_CHUNK_BYTES):
                remaining_bytes -= len(chunk)  # counted, because the sizes in the archive may be wrong
                if remaining_bytes < 0:
                    raise _too_large_error(Path(archive.filename or ""))
                file.write(chunk)
        parts = [part for part in member.filename.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        names = tuple("/".join(parts[:length]) for length in range(len(parts), 0, -1))
        yield SourceFile("/".join((_ROOT, str(number), *parts)), target, names)


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    total_bytes, archive_bytes = sum(member.file_size for member in members), path.stat().st_size
    is_bomb = total_bytes > max(_FREE_BYTES, MAXIMUM_RATIO * archive_bytes)
    if len(members) > MAXIMUM_FILES or total_bytes > MAXIMUM_BYTES or is_bomb:
        raise _too_large_error(path)
    if total_bytes > shutil.disk_usage(folder).free:
        raise InputError(f"{str(path)!r}: the unpacked files do not fit on the disk; free space in {folder.parent}")


def _too_large_error(path: Path) -> InputError:
    return InputError(
        f"{str(path)!r}: the zip file is too large when unpacked: more than {MAXIMUM_FILES} files, "
        f"{MAXIMUM_BYTES >> 30} GiB, or {MAXIMUM_RATIO} times its own size; unpack it yourself, and give the folder"
    )
