"""What carries out a plan: submit, look, cancel. Runs are found by their names, so a restart loses none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from anamnesis.records import UnreachableError

__all__ = ["Backend", "PipelineJob", "Run", "RunState", "UnreachableError"]


class RunState(StrEnum):
    """Where a run stands; the last four are final."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    INTERRUPTED = "Interrupted"
    """What carried it went away, through no fault of the run: the next attempt goes on where it was."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (RunState.PENDING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as its back end tells it.

    Attributes:
        id: the back end's own.
        name: given by us: ``<update>-<attempt>``.
        state: see ``RunState``.
        created_at: UTC.
        message: why it failed, in words without patient data.
        finished_at: UTC, or none.
    """

    id: str
    name: str
    state: RunState
    created_at: datetime
    message: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PipelineJob:
    """What shall run.

    Attributes:
        name: of the run, unique; a second submission under it changes nothing.
        pipeline: the compiled pipeline.
        arguments: of the pipeline.
    """

    name: str
    pipeline: Path
    arguments: Mapping[str, object] = field(default_factory=dict)


class Backend(Protocol):
    """A place where pipelines run. Every call raises ``UnreachableError`` where the place does not answer."""

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """Returns every run whose name starts with ``prefix``, oldest first."""

    def submit(self, job: PipelineJob) -> Run:
        """Starts a run, unless one of that very name is there, whatever its state; returns it without waiting."""

    def cancel(self, run: Run) -> None:
        """Ends a run; nothing happens where it has ended or is gone."""
