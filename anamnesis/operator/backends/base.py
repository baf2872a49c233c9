"""The interface of back ends: list, submit, cancel. Runs are found by name, so a restart loses none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from anamnesis.records import UnreachableError

__all__ = ["Backend", "PipelineJob", "Run", "RunState", "UnreachableError"]


class RunState(StrEnum):
    """State of a run; the last four are final."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    INTERRUPTED = "Interrupted"
    """Its machine or operator ended, through no fault of the run. The next attempt continues from the checkpoint."""

    @property
    def is_final(self) -> bool:
        """Whether the state never changes again."""
        return self not in (RunState.PENDING, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as its back end reports it.

    Attributes:
        id: identifier on the back end.
        name: ``<update>-<attempt>``, given by the operator.
        state: see ``RunState``.
        created_at: time of creation, UTC.
        message: why the run failed, without patient data.
        finished_at: time of its end, UTC, or none.
    """

    id: str
    name: str
    state: RunState
    created_at: datetime
    message: str = ""
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PipelineJob:
    """A pipeline to run.

    Attributes:
        name: unique name of the run; a second submission with the same name does nothing.
        pipeline: file of the compiled pipeline.
        arguments: arguments of the pipeline.
    """

    name: str
    pipeline: Path
    arguments: Mapping[str, object] = field(default_factory=dict)


class Backend(Protocol):
    """Runs pipelines. Every call raises ``UnreachableError`` if the back end is unreachable."""

    def runs(self, prefix: str) -> tuple[Run, ...]:
        """Returns every run whose name starts with ``prefix``, oldest first."""

    def submit(self, job: PipelineJob) -> Run:
        """Starts a run, unless a run of that name exists in any state; returns the run without waiting."""

    def cancel(self, run: Run) -> None:
        """Ends a run; does nothing if the run has ended or no longer exists."""
