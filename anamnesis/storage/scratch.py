"""The scratch folder of this machine: arrays of images, and features, that can be computed again at any time.

An entry is a folder ``<scratch>/split-arrays/<owner>/<generation>/<digest>``. It is written under a temporary name and
renamed, so a killed process leaves no entry. Readers hold a lock on it, and an entry in use makes room for no other.
"""

import errno
import fcntl
import os
import secrets
import shutil
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anamnesis.records import InputError, digest_hex, digest_json

FOLDER_VARIABLE = "ANAMNESIS_SCRATCH"
LIMIT_VARIABLE = "ANAMNESIS_SCRATCH_GIB"
DEFAULT_LIMIT_GIB = "64"
_LOCK, _PARTIAL, _DIGITS = "lock", ".partial-", 24


@dataclass(frozen=True, slots=True)
class EntryName:
    """What an entry was made from.

    Attributes:
        owner: URL of the site's own store.
        generation: changes when entries of the owner may be used no more; those of other generations are removed.
        digest: of everything that determines the content.
    """

    owner: str
    generation: str
    digest: str


@dataclass(frozen=True, slots=True)
class ScratchEntry:
    """A complete entry.

    Attributes:
        folder: its folder.
        bytes: size of its files.
        used: when it was opened last, in seconds since 1970.
    """

    folder: Path
    bytes: int
    used: float


class EntryLease:
    """An entry in use: it makes room for no other as long as this object exists.

    Attributes:
        folder: its folder.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        weakref.finalize(self, os.close, lock)


@dataclass(frozen=True, slots=True)
class Scratch:
    """The scratch folder.

    Attributes:
        root: the folder with all entries, readable by this user alone.
        limit_bytes: where all entries together are larger, those that were used longest ago are removed.
    """

    root: Path
    limit_bytes: int

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Scratch":
        """Returns the folder ``ANAMNESIS_SCRATCH``, by default ``anamnesis`` in the user's cache.

        Raises:
            InputError: ``ANAMNESIS_SCRATCH_GIB`` is not a number above 0.
        """
        cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(environment.get(FOLDER_VARIABLE) or Path(cache, "anamnesis")).absolute()
        limit = environment.get(LIMIT_VARIABLE) or DEFAULT_LIMIT_GIB
        try:
            limit_bytes = int(float(limit) * 2**30)
        except (ValueError, OverflowError):
            limit_bytes = 0
        if limit_bytes < 1:
            raise InputError(
                f"{LIMIT_VARIABLE}: expected a number of GiB above 0, found {limit!r}; correct the variable"
            )
        return cls(folder / "split-arrays", limit_bytes)

    def open_entry(self, name: EntryName) -> EntryLease | None:
        """Returns an entry, or none where it does not exist; removes the owner's entries of other generations."""
        with self._translate_errors():
            self._remove_other_generations(name)
            folder = self._folder(name)
            try:
                lock = os.open(folder / _LOCK, os.O_RDONLY)
            except FileNotFoundError:
                return None
            lease = EntryLease(folder, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if not (folder / _LOCK).exists():  # it was removed before the lock was taken
                return None
            os.utime(folder / _LOCK)
            return lease

    @contextmanager
    def write_entry(self, name: EntryName, file_sizes: Mapping[str, int]) -> Iterator[Path]:
        """Yields a folder with files whose space is reserved; it becomes the entry at the end of the block.

        Where another process was first, its entry stays: equal names have equal files. Where the folder is removed
        meanwhile, there is no entry at the end, and the caller writes it again.

        Args:
            name: of the entry.
            file_sizes: name -> bytes of each file; unused entries make room for them.

        Raises:
            InputError: the folder is not writable, or the disk is full.
        """
        with self._translate_errors():
            partial, lock = self._create_partial(name, sum(file_sizes.values()))
        sizes = {partial / file_name: size for file_name, size in file_sizes.items()}
        try:
            with _removal_ignored(partial, sizes), self._translate_errors():
                for file, size in sizes.items():
                    _allocate(file, size)
            with _removal_ignored(partial, sizes):
                yield partial
                with self._translate_errors():
                    for file in sizes:
                        _flush(file)
                    _rename_unless_exists(partial, self._folder(name))
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            os.close(lock)

    def entries(self) -> list[ScratchEntry]:
        """Returns all entries, the one that was used longest ago first."""
        locks = [lock for lock in self.root.glob(f"*/*/*/{_LOCK}") if not lock.parent.name.startswith(_PARTIAL)]
        entries = [ScratchEntry(lock.parent, _size_of(lock.parent), _modified(lock)) for lock in locks]
        return sorted(entries, key=lambda entry: entry.used)

    def remove_all(self, owner: str = "") -> int:
        """Removes the entries of an owner, by default of all owners, and returns their bytes.

        A process can still read those that it uses.
        """
        if not self.root.exists():
            return 0
        with self._translate_errors(), self._locked_alone():
            folder = self._owner_folder(owner) if owner else self.root
            removed = sum(entry.bytes for entry in self.entries() if folder in entry.folder.parents)
            for child in folder.glob("*"):
                shutil.rmtree(child, ignore_errors=True)  # the lock of this folder is a file, and stays
            return removed

    def _folder(self, name: EntryName) -> Path:
        return self._generation_folder(name) / digest_hex(name.digest)

    def _generation_folder(self, name: EntryName) -> Path:
        return self._owner_folder(name.owner) / digest_hex(digest_json(name.generation))[:_DIGITS]

    def _owner_folder(self, owner: str) -> Path:
        return self.root / digest_hex(digest_json(owner))[:_DIGITS]

    def _remove_other_generations(self, name: EntryName) -> None:
        current = self._generation_folder(name)
        for folder in self._owner_folder(name.owner).glob("*"):
            if folder != current:
                shutil.rmtree(folder, ignore_errors=True)

    def _create_partial(self, name: EntryName, size: int) -> tuple[Path, int]:
        """Makes room and returns a temporary folder with its lock, which says that its writer lives."""
        with self._locked_alone():
            for abandoned in self.root.glob(f"*/*/{_PARTIAL}*"):
                _remove_unless_used(abandoned)
            self._make_room(size)
            partial = self._generation_folder(name) / f"{_PARTIAL}{secrets.token_hex(8)}"
            partial.mkdir(parents=True, mode=0o700)
            lock = os.open(partial / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_SH)
            return partial, lock

    def _make_room(self, size: int) -> None:
        entries = self.entries()
        total = size + sum(entry.bytes for entry in entries)
        for entry in entries:
            if total <= self.limit_bytes:
                return
            total -= entry.bytes if _remove_unless_used(entry.folder) else 0

    @contextmanager
    def _locked_alone(self) -> Iterator[None]:
        """Lets one process at a time create and remove folders."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)
        with (self.root / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            problem = "the disk is full" if is_full else f"the folder is not usable ({error.strerror})"
            raise InputError(
                f"{self.root}: {problem}, and images are prepared for the network there; set {FOLDER_VARIABLE} to a "
                "folder of this machine with more space, or free it with: anamnesis scratch --clear"
            ) from error


def describe_scratch(scratch: Scratch) -> str:
    """Returns a line with the folder, its size and the free space of its disk."""
    entries, folder = scratch.entries(), scratch.root
    while not folder.exists():
        folder = folder.parent
    size, limit, free = (
        f"{number / 2**30:.1f} GiB"
        for number in (sum(entry.bytes for entry in entries), scratch.limit_bytes, shutil.disk_usage(folder).free)
    )
    return f"{scratch.root}: {len(entries)} entries, {size} of at most {limit}, {free} free on the disk"


def _allocate(path: Path, size: int) -> None:
    """Creates a file whose space is reserved: a full disk is then an error before hours of work."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _rename_unless_exists(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _remove_unless_used(folder: Path) -> bool:
    """Removes an entry that no process uses; returns whether it did."""
    try:
        with (folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / _LOCK).unlink()  # first: a reader that takes the lock later sees that the entry is gone
            shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        shutil.rmtree(folder, ignore_errors=True)
    return True


@contextmanager
def _removal_ignored(folder: Path, files: Collection[Path]) -> Iterator[None]:
    """Ignores that somebody removes a folder, or its files one after the other."""
    try:
        yield
    except (FileNotFoundError, InputError) as error:
        cause = error.__cause__ or error
        is_file_gone = isinstance(cause, FileNotFoundError) and Path(cause.filename or "") in files
        if folder.exists() and not is_file_gone:
            raise


def _size_of(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except FileNotFoundError:  # another process removes it
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
