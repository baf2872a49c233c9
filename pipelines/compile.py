"""Compiles every pipeline: ``python -m anamnesis.pipelines.compile``; ``--check`` fails where a file differs.

Compiling is deterministic, so the committed files are compared byte for byte.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler

from anamnesis.components.catalogue import trained_methods
from anamnesis.pipelines.evaluation.scheduled_evaluation import COMPILED as EVALUATIONS
from anamnesis.pipelines.evaluation.scheduled_evaluation.pipeline import scheduled_evaluation
from anamnesis.pipelines.training.continual_update import COMPILED as UPDATES
from anamnesis.pipelines.training.continual_update.pipeline import continual_update


def compiled(pipeline: Any) -> bytes:
    """Returns the bytes of the compiled pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return path.read_bytes()


def stale() -> dict[Path, bytes | None]:
    """Returns the files that do not hold what they should, with what they should hold; none: they should not be."""
    pipelines = {UPDATES / f"{method}.yaml": continual_update(method) for method in trained_methods()}
    pipelines[EVALUATIONS / "scheduled_evaluation.yaml"] = scheduled_evaluation
    wrong: dict[Path, bytes | None] = {
        path: data for path, pipeline in pipelines.items() if not _holds(path, data := compiled(pipeline))
    }
    there = (path for folder in (UPDATES, EVALUATIONS) for path in folder.glob("*.yaml"))
    return wrong | {path: None for path in there if path not in pipelines}


def _holds(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def main(arguments: list[str]) -> int:
    """Writes or, with ``--check``, compares; returns the exit code."""
    check = "--check" in arguments
    wrong = stale()
    for path, data in wrong.items():
        print(f"{'stale' if check else 'written'}: {Path(*path.parts[-3:])}")
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
