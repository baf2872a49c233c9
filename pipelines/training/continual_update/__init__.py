"""The pipeline of an update: ingest, train, evaluate, decide. ``compiled`` has one file for each method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anamnesis.records import InputError, canonical_json

COMPILED_FOLDER = Path(__file__).parent / "compiled"


def compiled_pipeline(method: str) -> Path:
    """Returns the compiled pipeline that trains with ``method``.

    Raises:
        InputError: no pipeline trains with this method.
    """
    path = COMPILED_FOLDER / f"{method}.yaml"
    if not path.is_file():
        methods = ", ".join(sorted(file.stem for file in COMPILED_FOLDER.glob("*.yaml")))
        raise InputError(f"method.name: expected one of {methods}, found {method!r}")
    return path


def pipeline_arguments(request: Mapping[str, Any], workers: int = 2) -> dict[str, object]:
    """Returns the pipeline's arguments for an encoded ``UpdateRequest``."""
    text = canonical_json(request).decode()
    return {"request": text, "model": request["model"], "site": request["site"]["name"], "workers": workers}


__all__ = ["COMPILED_FOLDER", "compiled_pipeline", "pipeline_arguments"]
