"""Compiles every pipeline: ``python -m anamnesis.pipelines.compile``; ``--check`` fails when a file differs.

Compiling is deterministic, so the committed files are compared byte for byte.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler

from anamnesis.components.catalogue import trained_methods
from anamnesis.pipelines.evaluation.scheduled_evaluation import COMPILED_FOLDER as EVALUATIONS
from anamnesis.pipelines.evaluation.scheduled_evaluation.pipeline import scheduled_evaluation
from anamnesis.pipelines.training.continual_update import COMPILED_FOLDER as UPDATES
from anamnesis.pipelines.training.continual_update.pipeline import continual_update


def compile_pipeline(pipeline: Any) -> bytes:
    """Returns the bytes of the compiled pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        return path.read_bytes()


def stale_files() -> dict[Path, bytes | None]:
    """Returns each stale file with its expected content, or with none when the file should not exist."""
    pipelines = {UPDATES / f"{method}.yaml": continual_update(method) for method in trained_methods()}
    pipelines[EVALUATIONS / "scheduled_evaluation.yaml"] = scheduled_evaluation
    outdated_files: dict[Path, bytes | None] = {
        path: data for path, pipeline in pipelines.items() if not _has_content(path, data := compile_pipeline(pipeline))
    }
    existing_files = (path for folder in (UPDATES, EVALUATIONS) for path in folder.glob("*.yaml"))
    return outdated_files | {path: None for path in existing_files if path not in pipelines}


def _has_content(path: Path, data: bytes) -> bool:
    return path.exists() and path.read_bytes() == data


def main(arguments: list[str]) -> int:
    """Writes the files or, with ``--check``, compares them; returns the exit code."""
    check = "--check" in arguments
    outdated_files = stale_files()
    for path, data in outdated_files.items():
        print(f"{'stale' if check else 'written'}: {Path(*path.parts[-3:])}")
        if not check:
            _write_or_delete(path, data)
    return int(check and bool(outdated_files))


def _write_or_delete(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
