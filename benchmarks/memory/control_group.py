"""A cgroup with a limit of memory below that of this process, of either version; without the right, only a watch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """Where the memory of some processes is limited and read.

    Attributes:
        folder: of the cgroup; none reads the anonymous memory of the processes instead.
        description: the limit in words.
    """

    folder: Path | None
    description: str

    @property
    def processes(self) -> Path | None:
        """The file that a process writes its number to, to be in the group."""
        return self.folder / "cgroup.procs" if self.folder else None

    def anonymous_bytes(self, process: int) -> int:
        """Returns the anonymous memory of the group, or of a process and its children."""
        if not self.folder:
            return sum(_anonymous_of(each) for each in (process, *_children(process)))
        lines = (line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        statistics = {name: int(value) for name, value in lines}
        return statistics["anon"] if "anon" in statistics else statistics["total_rss"]


@contextmanager
def open_control_group(limit: int) -> Iterator[ControlGroup]:
    """Yields a new cgroup with a limit in bytes, and removes it after its processes."""
    try:
        folder = _make(limit)
    except (OSError, StopIteration) as error:
        yield ControlGroup(None, f"none: no cgroup could be made here ({error})")
        return
    try:
        yield ControlGroup(folder, f"cgroup of {limit / 2**30:.1f} GiB")
    finally:
        folder.rmdir()


def _make(limit: int) -> Path:
    paths = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    is_first_version = "memory" in paths
    parent = (_ROOT / "memory" if is_first_version else _ROOT) / paths["memory" if is_first_version else ""].lstrip("/")
    folder = parent / "anamnesis-benchmark"
    folder.mkdir(exist_ok=True)
    (folder / ("memory.limit_in_bytes" if is_first_version else "memory.max")).write_text(str(limit))
    return folder


def _anonymous_of(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon")), 0)


def _children(process: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *_children(child))]
