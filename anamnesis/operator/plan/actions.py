"""What a plan may ask for. Each is idempotent: carried out twice, or half and then again, it has happened once."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CreateUpdate:
    """Start an update: the data of ``site`` on top of the version ``base``. On a cluster a ModelUpdate comes to be."""

    site: str
    base: str


@dataclass(frozen=True, slots=True)
class ClaimUpdate:
    """Write to the registry's log that this operator works on an update, until a time."""

    update: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class StartRun:
    """Submit a run of an update to the back end; not where the update's claim was lost a moment ago."""

    update: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CancelRun:
    """End a run."""

    run: str


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """Write the gate's decision on an update's candidate to the registry's log."""

    update: str


@dataclass(frozen=True, slots=True)
class RecordApproval:
    """Write a person's word to the registry's log."""

    approval: str


@dataclass(frozen=True, slots=True)
class StartEvaluation:
    """Submit a run that evaluates the champion."""

    evaluation: str
    attempt: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeleteUpdate:
    """Delete a ModelUpdate that ended long ago; the registry keeps what it did."""

    update: str


Action = (
    CreateUpdate | ClaimUpdate | StartRun | CancelRun | RecordDecision | RecordApproval | StartEvaluation | DeleteUpdate
)
