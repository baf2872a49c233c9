"""A store in a folder of a POSIX file system; several machines may share it."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anamnesis.records import AnamnesisError, InputError, RefusedError
from anamnesis.storage.store import MissingObjectError, ObjectInfo, check_key

_TEMPORARY_PREFIX = ".tmp-"
_NO_HARD_LINK_ERRNOS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK, errno.EINVAL}
_MISSING_FILE_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderStore:
    """A store with one file for each object. ``link`` or ``rename`` makes a file visible only when it is complete."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def url(self) -> str:
        """``file:///...``."""
        return self.root.as_uri()

    def get(self, key: str) -> bytes:
        """See ``Store.get``."""
        with translate_os_errors(path := self._path(key)):
            return path.read_bytes()

    def put(self, key: str, data: bytes) -> None:
        """See ``Store.put``."""
        target = self._path(key)
        with translate_os_errors(target), _temporary_file(target, data) as temporary:
            temporary.replace(target)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See ``Store.put_if_absent``.

        Raises:
            RefusedError: the file system cannot make hard links.
        """
        target = self._path(key)
        with translate_os_errors(target):
            if not target.exists():
                with _temporary_file(target, data) as temporary:
                    _hard_link(temporary, target)
            return target.read_bytes() == data

    def exists(self, key: str) -> bool:
        """See ``Store.exists``."""
        return self._path(key).is_file()

    def list(self, prefix: str = "", after: str = "") -> Iterator[ObjectInfo]:
        """See ``Store.list``. Links to files and folders are followed, cycles are not."""
        for info in self._walk(prefix):
            if info.key > after and not _is_temporary(info.key):
                yield info

    def delete(self, key: str) -> bool:
        """See ``Store.delete``."""
        path = self.root / check_key(key)
        with translate_os_errors(path):
            path.unlink(missing_ok=True)
        return True

    def list_unfinished_writes(self) -> Iterator[ObjectInfo]:
        """See ``Store.list_unfinished_writes``: yields the temporary files."""
        return (info for info in self._walk("") if _is_temporary(info.key))

    def check_conditional_writes(self) -> None:
        """See ``Store.check_conditional_writes``: makes a hard link."""
        key = f"probe-{secrets.token_hex(8)}"
        try:
            self.put_if_absent(key, b"probe")
        finally:
            self.delete(key)

    def _path(self, key: str) -> Path:
        if _is_temporary(check_key(key)):
            raise InputError(
                f"{key!r}: names that start with {_TEMPORARY_PREFIX!r} are reserved for temporary files; "
                "choose another name"
            )
        return self.root / key

    def _walk(self, prefix: str) -> Iterator[ObjectInfo]:
        parent, _, _ = prefix.rpartition("/")
        if parent:
            check_key(parent)
        for info in _iter_files(self.root / parent, f"{parent}/" if parent else "", prefix, frozenset()):
            if info.key.startswith(prefix):
                yield info


def _iter_files(folder: Path, base: str, prefix: str, parents: frozenset[tuple[int, int]]) -> Iterator[ObjectInfo]:
    """Yields every file below ``folder`` in the order of the keys; a folder sorts as its name and a slash."""
    with translate_os_errors(folder):
        folder_identity, entries = _scan_folder(folder)
    if folder_identity in parents:
        return
    for name, path in entries:
        key = base + name
        if not name.endswith("/"):
            with translate_os_errors(path), suppress(FileNotFoundError):  # deleted since the scan
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    etag = f"{status.st_mtime_ns}-{status.st_size}"
                    yield ObjectInfo(key, etag, status.st_size, status.st_mtime)
        elif key.startswith(prefix) or prefix.startswith(key):
            yield from _iter_files(path, key, prefix, parents | {folder_identity})


def _scan_folder(folder: Path) -> tuple[tuple[int, int], list[tuple[str, Path]]]:
    """Returns the folder's identity and its sorted entries, folders with a slash; no entries for a missing folder."""
    try:
        status = folder.stat()
        with os.scandir(folder) as directory:
            entries = sorted((entry.name + "/" * entry.is_dir(), Path(entry.path)) for entry in directory)
    except _MISSING_FILE_ERRORS:
        return (0, 0), []
    return (status.st_dev, status.st_ino), entries


def _is_temporary(key: str) -> bool:
    return key.rpartition("/")[2].startswith(_TEMPORARY_PREFIX)


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turns errors of the file system into one sentence with ``path`` and what to do.

    Raises:
        MissingObjectError: a file or folder of the path does not exist.
        RefusedError: the current user has no access.
        AnamnesisError: another error, such as a full disk.
    """
    try:
        yield
    except _MISSING_FILE_ERRORS:
        raise MissingObjectError(
            f"{path}: the object does not exist; correct the address, or restore the object from a backup"
        ) from None
    except PermissionError as error:
        raise RefusedError(f"{path}: {error.strerror}; give the current user access to the folder") from error
    except OSError as error:
        raise AnamnesisError(
            f"{path}: the file system reports an error: {error.strerror}; check the disk and the mount"
        ) from error


@contextmanager
def _temporary_file(target: Path, data: bytes) -> Iterator[Path]:
    """Writes ``data`` to a synced temporary file next to ``target``; removes it at the end and syncs the folder."""
    _make_folder(target.parent)
    path = target.parent / f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)
        _sync_folder(target.parent)


def _hard_link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return  # another writer was first, or a network file system lost the reply: the caller compares the bytes
    except OSError as error:
        if error.errno not in _NO_HARD_LINK_ERRNOS:
            raise
        raise RefusedError(
            f"{target.parent}: the file system does not support hard links ({error.strerror}), so two writers could "
            "overwrite each other; choose a folder on another file system, or an S3 bucket"
        ) from error


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
