"""Runs the compiled pipeline on this machine, with Kubeflow's local runner."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anamnesis.records import InputError, Progress, encode
from anamnesis.updates.request import UpdateRequest


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """The local back end.

    Attributes:
        records: folder that the run records are kept in.
        workers: processes that read files side by side.
    """

    records: Path
    workers: int = 2

    def submit(self, request: UpdateRequest, progress: Progress) -> object:
        """Runs one update to its end and returns its run record.

        Raises:
            AnamnesisError: a step failed; the message is the step's own.
        """
        from anamnesis.pipelines.runner import run_local  # needs kfp, which only this back end does

        arguments = {
            "request": json.dumps(encode(request)),
            "model": request.model,
            "site": request.site.name,
            "workers": self.workers,
        }
        return run_local(compiled_pipeline(request.configuration.method), arguments, self.records, progress)


def compiled_pipeline(method: str) -> Path:
    """Returns the compiled pipeline of a method, as a cluster gets it.

    Raises:
        InputError: it was not compiled.
    """
    import anamnesis.pipelines

    folder = Path(str(anamnesis.pipelines.__file__)).parent / "training" / "continual_update" / "compiled"
    file = folder / f"{method}.yaml"
    if not file.exists():
        raise InputError(f"method {method!r}: {file} is missing; `make generate` compiles it")
    return file


Submit = Callable[[UpdateRequest, Progress], object]
"""What a back end offers to the loop."""
