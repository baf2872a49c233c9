"""What a plan says of the model, its sites, updates and approvals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class SiteState(StrEnum):
    """Where a site stands with a model; stable words for programs."""

    LEARNED = "Learned"
    NEXT = "Next"
    QUEUED = "Queued"
    UPDATING = "Updating"
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_EVALUATIONS = "AwaitingEvaluations"
    UNSETTLED = "Unsettled"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    UNREADABLE = "Unreadable"
    SUSPENDED = "Suspended"
    OUTSIDE_CHANGE_PLAN = "OutsideChangePlan"
    FAILED = "Failed"
    WAITING_FOR_DATA = "WaitingForData"
    WAITING_FOR_PATIENTS = "WaitingForPatients"
    WAITING_FOR_QUIET = "WaitingForQuiet"
    WAITING_FOR_SCHEDULE = "WaitingForSchedule"
    CLAIMED_ELSEWHERE = "ClaimedElsewhere"


class UpdateState(StrEnum):
    """Where an update stands: the reasons of its condition ``Decided``. Those below ``PROMOTED`` are final too."""

    WAITING = "Waiting"
    CLAIMED_ELSEWHERE = "ClaimedElsewhere"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
    RETRYING = "Retrying"
    AWAITING_EVALUATIONS = "AwaitingEvaluations"
    AWAITING_APPROVAL = "AwaitingApproval"
    SETTLING = "Settling"
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    NO_CHANGE = "NoChange"
    TOO_FEW_PATIENTS = "TooFewPatients"
    RUN_FAILED = "RunFailed"
    RUN_CANCELLED = "RunCancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the update."""
        return self in _FINAL


_FINAL = {
    UpdateState.PROMOTED,
    UpdateState.REJECTED,
    UpdateState.ROLLED_BACK,
    UpdateState.SUPERSEDED,
    UpdateState.NO_CHANGE,
    UpdateState.TOO_FEW_PATIENTS,
    UpdateState.RUN_FAILED,
    UpdateState.RUN_CANCELLED,
}


class ApprovalState(StrEnum):
    """What became of a person's word: the reasons of its condition ``Recorded``."""

    PENDING = "Pending"
    RECORDED = "Recorded"
    AUTHOR_UNVERIFIED = "AuthorUnverified"
    UNKNOWN_UPDATE = "UnknownUpdate"
    WRONG_VERSION = "WrongVersion"
    SUPERSEDED = "Superseded"
    ALREADY_REJECTED = "AlreadyRejected"
    ALREADY_PROMOTED = "AlreadyPromoted"
    NEVER_PROMOTED = "NeverPromoted"

    @property
    def refused(self) -> bool:
        """Whether the word does not count."""
        return self not in (ApprovalState.PENDING, ApprovalState.RECORDED)


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """One line of a model's status."""

    name: str
    state: SiteState
    message: str = ""


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Where an update stands, and why."""

    state: UpdateState
    message: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalStatus:
    """What became of a person's word, and why."""

    state: ApprovalState
    message: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a model's status says.

    Attributes:
        champion: digest of the version in use, or empty.
        sites: in the order they joined.
        time: when it was planned, UTC, ISO 8601.
        updates: name -> where it stands.
        approvals: name -> what became of it.
        evaluation: why a scheduled evaluation does not get on; empty when all is well.
        again: when to plan again though nothing happens, or none.
    """

    champion: str
    sites: tuple[SiteStatus, ...] = field(default=())
    time: str = ""
    updates: Mapping[str, UpdateStatus] = field(default_factory=dict)
    approvals: Mapping[str, ApprovalStatus] = field(default_factory=dict)
    evaluation: str = ""
    again: datetime | None = None
