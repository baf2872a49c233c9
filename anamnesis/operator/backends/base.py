"""The interface of back ends: list, submit, cancel. Runs are found by name, so a restart loses none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from anamnesis.records import UnreachableError

QUEUED = "SchedulingGated"
"""Kubernetes' reason of a pod that a queue such as Kueue holds back; ``Run.waiting_reason`` has this word then."""

__all__ = ["QUEUED", "Backend", "CancelCause", "PipelineJob", "Run", "RunState", "UnreachableError"]


class RunState(StrEnum):
    """State of a run; the last four are final."""

    PENDING = "Pending"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    """Somebody asked the back end to end the run, and it has not ended yet."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    INTERRUPTED = "Interrupted"
    """Its machine or operator ended, through no fault of the run. The next attempt continues from the checkpoint."""

    @property
    def is_final(self) -> bool:
        """Whether the state never changes again."""
        return self not in (RunState.PENDING, RunState.RUNNING, RunState.CANCELLING)


class CancelCause(StrEnum):
    """Why the operator ended a run by itself."""

    DEADLINE = "Deadline"
    """It took longer than ``spec.backend.runDeadline``. It counts as failed."""
    OUTDATED = "Outdated"
    """The image or the pod settings were put right before its first step started. It does not count."""
    NOT_NEEDED = "NotNeeded"
    """Its update was superseded, or another run of the same update continues. It does not count."""


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
        waiting_step: a step that the back end has created and whose pod does not run yet; empty for none.
        waiting_since: when this step was created, UTC, or none.
        waiting_reason: why its pod does not run, where the back end knows; without patient data.
        cancelling_since: when somebody asked the back end to end the run, UTC; none where nobody did, or the back end
            does not know the time. The back end keeps it after the run has ended.
        cancel_cause: why the operator ended the run; none where it did not. The plan fills it.
        is_outdated: the same run, submitted now, would have another image or other pod settings.
        is_permanent: the run refused its input, so that the same run would fail again.
    """

    id: str
    name: str
    state: RunState
    created_at: datetime
    message: str = ""
    finished_at: datetime | None = None
    waiting_step: str = ""
    waiting_since: datetime | None = None
    waiting_reason: str = ""
    cancelling_since: datetime | None = None
    cancel_cause: CancelCause | None = None
    is_outdated: bool = False
    is_permanent: bool = False


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

    def is_outdated(self, run: Run, job: PipelineJob) -> bool:
        """Returns whether ``job``, submitted now, would have another image or other pod settings than ``run`` has."""
