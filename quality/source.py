"""The project's Python files, parsed once, and its pages."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_PAGES = (".md", ".j2", ".yaml", ".tpl", ".txt", ".sh")
_PAGE_NAMES = ("Makefile", "Containerfile", "Containerfile.operator")
_COPIES = (
    "charts/anamnesis/files/",
    "components/",
    "docs/messages.md",
    "docs/results.md",
    "docs/results_64.md",
    "manifests/crds/",
    "pipelines/",
    "tests/",
)
"""Generated from code or templates, which are checked themselves."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """One page.

    Attributes:
        path: relative to the root.
        text: its content.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class PythonFile:
    """One Python file.

    Attributes:
        path: relative to the root.
        text: its content.
        tree: its syntax tree.
    """

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> "PythonFile":
        """Returns the file with this content."""
        return cls(path, text, ast.parse(text))


def tracked_files(root: Path = ROOT) -> Iterator[Path]:
    """Yields the project's files, sorted: the files that git tracks, and new ones; no links."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in sorted(set(names)):
        path = root / name
        if path.is_file() and not path.is_symlink():
            yield path


def pages() -> Iterator[TextFile]:
    """Yields the project's pages: text and templates that people read, without generated copies."""
    for path in tracked_files():
        name = path.relative_to(ROOT).as_posix()
        if (path.suffix in _PAGES or path.name in _PAGE_NAMES) and not name.startswith(_COPIES):
            yield TextFile(name, path.read_text(encoding="utf-8"))


@cache
def python_files() -> tuple[PythonFile, ...]:
    """Returns the project's Python files."""
    paths = [path for path in tracked_files() if path.suffix == ".py"]
    return tuple(
        PythonFile.parse(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths
    )
