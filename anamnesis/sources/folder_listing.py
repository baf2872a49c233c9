"""The listing of a folder as a source: one broken entry is listed with its problem and does not stop the others."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anamnesis.sources.base import ListingProblem

_FolderIdentity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One entry below a folder that is not a folder itself, or that cannot be read.

    Attributes:
        key: path below the folder, with slashes.
        etag: time of the last change and size.
        size: in bytes.
        problem: one of ``ListingProblem``, or empty.
    """

    key: str
    etag: str = ""
    size: int = 0
    problem: str = ""


def list_folder(folder: Path, is_skipped: Callable[[str], bool]) -> list[FolderEntry]:
    """Returns all entries below a folder, sorted by key. Links to files and folders are followed, cycles are not.

    Args:
        folder: an existing folder.
        is_skipped: whether a key, or a folder with this key, is not part of the source.

    Raises:
        OSError: a folder cannot be listed: any number of files may be in it.
    """
    ancestors = frozenset(_identity(parent.stat()) for parent in folder.resolve().parents)
    return sorted(_iter_entries(folder, "", ancestors, is_skipped), key=lambda entry: entry.key)


def _iter_entries(
    folder: Path, base: str, ancestors: frozenset[_FolderIdentity], is_skipped: Callable[[str], bool]
) -> Iterator[FolderEntry]:
    try:
        ancestors |= {_identity(folder.stat())}
        paths = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return  # deleted since its parent was listed
    for path in paths:
        key = base + path.name
        if is_skipped(key):
            continue
        status = _stat(path)
        if status is None:
            if path.is_symlink():
                yield FolderEntry(key, problem=ListingProblem.BROKEN_LINK)
        elif stat.S_ISREG(status.st_mode):
            yield FolderEntry(key, f"{status.st_mtime_ns}-{status.st_size}", status.st_size)
        elif not stat.S_ISDIR(status.st_mode):
            yield FolderEntry(key, problem=ListingProblem.NOT_A_FILE)
        elif _identity(status) in ancestors:
            yield FolderEntry(key, problem=ListingProblem.LINK_TO_PARENT)
        else:
            yield from _iter_entries(path, f"{key}/", ancestors, is_skipped)


def _stat(path: Path) -> os.stat_result | None:
    """Returns the status of a path, or none for a link to nothing or to itself, and for a deleted file."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        if path.is_symlink():
            return None
        raise


def _identity(status: os.stat_result) -> _FolderIdentity:
    return status.st_dev, status.st_ino
