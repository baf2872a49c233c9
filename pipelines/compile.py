"""Compiles every pipeline: ``python -m anamnesis.pipelines.compile``; ``--check`` fails where a file differs.

Compiling is deterministic, so the committed files are compared byte for byte.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler

from anamnesis.components.catalogue import trained_methods
from anamnesis.pipelines.training.continual_update import COMPILED
from anamnesis.pipelines.training.continual_update.pipeline import continual_update


def compiled(pipeline: Any) -> bytes:
    """Returns the bytes of the compiled pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return path.read_bytes()


def stale() -> dict[Path, bytes | None]:
    """Returns the files that do not hold what they should, with what they should hold; none: they should not be."""
    wanted: dict[Path, bytes | None] = {
        COMPILED / f"{method}.yaml": compiled(continual_update(method)) for method in trained_methods()
    }
    wanted.update({path: None for path in COMPILED.glob("*.yaml") if path not in wanted})
    return {path: data for path, data in wanted.items() if data is None or not _holds(path, data)}


def _holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def main(arguments: list[str]) -> int:
    """Writes or, with ``--check``, compares; returns the exit code."""
    check = "--check" in arguments
    wrong = stale()
    for path, data in wrong.items():
        print(f"{'stale' if check else 'written'}: {path.relative_to(COMPILED.parent)}")
        if not check:
            _put(path, data)
    return int(check and bool(wrong))


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
