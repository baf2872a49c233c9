"""The pipeline of a scheduled evaluation of the champion: one step, compiled in ``compiled``."""

from pathlib import Path

from anamnesis.records import canonical_json, encode
from anamnesis.updates import EvaluationRequest

COMPILED_FOLDER = Path(__file__).parent / "compiled"


def compiled_pipeline() -> Path:
    """Returns the compiled pipeline."""
    return COMPILED_FOLDER / "scheduled_evaluation.yaml"


def pipeline_arguments(request: EvaluationRequest, workers: int = 2) -> dict[str, object]:
    """Returns the pipeline's arguments."""
    text = canonical_json(encode(request)).decode()
    return {"request": text, "model": request.model, "workers": workers}


__all__ = ["COMPILED_FOLDER", "compiled_pipeline", "pipeline_arguments"]
