"""Runs the compiled pipeline on this machine, with Kubeflow's local runner."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anamnesis.records import Progress, encode
from anamnesis.records.timestamps import Clock
from anamnesis.updates.requests import UpdateRequest

if TYPE_CHECKING:
    from anamnesis.pipelines.run_record import RunRecord


@dataclass(frozen=True, slots=True)
class LocalPipelineRunner:
    """Runs updates one after the other, each to its end.

    Attributes:
        records_folder: gets a folder for each run.
        clock: the time, UTC.
        workers: processes that read files in parallel.
    """

    records_folder: Path
    clock: Clock
    workers: int = 2

    def run(self, request: UpdateRequest, progress: Progress) -> "RunRecord":
        """Runs one update to its end and returns its run record.

        Raises:
            AnamnesisError: a step failed; the message is that of the step.
        """
        from anamnesis.pipelines.runner import run_local  # only this method needs kfp
        from anamnesis.pipelines.training.continual_update import compiled_pipeline

        arguments = {
            "request": json.dumps(encode(request)),
            "model": request.model,
            "site": request.site.name,
            "workers": self.workers,
        }
        folder = self.records_folder / f"{self.clock():%Y%m%dT%H%M%S}-{request.site.name}-{secrets.token_hex(3)}"
        return run_local(compiled_pipeline(request.configuration.method), arguments, folder, progress)
