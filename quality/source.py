"""The project's Python files, parsed once."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class PythonFile:
    """One Python file of the project.

    Attributes:
        path: relative to the root.
        text: its content.
        tree: its syntax tree.
    """

    path: str
    text: str
    tree: ast.Module


def tracked_files(*suffixes: str) -> Iterator[Path]:
    """Yields the files of the project with these suffixes, sorted: files that git tracks, and new ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in sorted(set(names)):
        path = ROOT / name
        if path.suffix in suffixes and path.is_file() and not path.is_symlink():
            yield path


@cache
def python_files() -> tuple[PythonFile, ...]:
    """Returns every Python file of the project."""
    files = []
    for path in tracked_files(".py"):
        text = path.read_text(encoding="utf-8")
        files.append(PythonFile(path.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return tuple(files)
