"""The actions of a plan. Each is idempotent: repeated after an interruption, it takes effect once."""

from dataclasses import dataclass
from datetime import datetime

from anamnesis.operator.backends.base import CancelCause


@dataclass(frozen=True, slots=True)
class CreateUpdate:
    """Create an update: the data of ``site`` on top of the version ``base``. On a cluster this is a ModelUpdate."""

    site: str
    base: str


@dataclass(frozen=True, slots=True)
class ClaimUpdate:
    """Write to the registry's log that this operator runs an update, until a time."""

    update: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class StartRun:
    """Submit a run of an update to the back end, unless another operator has just claimed the update."""

    update: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Cancel a run.

    Attributes:
        run: its name.
        cause: why.
    """

    run: str
    cause: CancelCause


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """Write the gate's decision on an update's candidate to the registry's log."""

    update: str


@dataclass(frozen=True, slots=True)
class StartEvaluation:
    """Submit a run that evaluates the champion."""

    evaluation: str
    attempt: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeleteUpdate:
    """Delete an old ModelUpdate that has ended; its result stays in the registry."""

    update: str


Action = CreateUpdate | ClaimUpdate | StartRun | CancelRun | RecordDecision | StartEvaluation | DeleteUpdate
