"""The planned status of a model, its sites, updates and approvals. ``state_meanings`` explains the states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from anamnesis.operator.api.reasons import STEP_NOT_STARTED
from anamnesis.operator.backends.base import Run


class SiteState(StrEnum):
    """The state of a site in a model; stable words for programs."""

    LEARNED = "Learned"
    NEXT = "Next"
    QUEUED = "Queued"
    UPDATING = "Updating"
    STEP_NOT_STARTED = STEP_NOT_STARTED
    AWAITING_APPROVAL = "AwaitingApproval"
    AWAITING_EVALUATIONS = "AwaitingEvaluations"
    UNDECIDED = "Undecided"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    UNREADABLE = "Unreadable"
    SUSPENDED = "Suspended"
    OUTSIDE_CHANGE_PLAN = "OutsideChangePlan"
    INVALID_SPEC = "InvalidSpec"
    FAILED = "Failed"
    WAITING_FOR_DATA = "WaitingForData"
    WAITING_FOR_PATIENTS = "WaitingForPatients"
    SOURCE_SHRANK = "SourceShrank"
    WAITING_FOR_QUIET = "WaitingForQuiet"
    WAITING_FOR_SCHEDULE = "WaitingForSchedule"
    CLAIMED_ELSEWHERE = "ClaimedElsewhere"
    WITHDRAWN = "Withdrawn"
    UNVERIFIED_PROMOTION = "UnverifiedPromotion"


class UpdateState(StrEnum):
    """The state of an update: the reason of its condition ``Decided``. ``PROMOTED`` and those below it are final."""

    WAITING = "Waiting"
    CLAIMED_ELSEWHERE = "ClaimedElsewhere"
    SUSPENDED = "Suspended"
    BACKEND_UNREACHABLE = "BackendUnreachable"
    RUNNING = "Running"
    STEP_NOT_STARTED = STEP_NOT_STARTED
    INVALID_SPEC = "InvalidSpec"
    RETRYING = "Retrying"
    AWAITING_EVALUATIONS = "AwaitingEvaluations"
    AWAITING_APPROVAL = "AwaitingApproval"
    RECORDING_DECISION = "RecordingDecision"
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    NO_CHANGE = "NoChange"
    TOO_FEW_PATIENTS = "TooFewPatients"
    SOURCE_SHRANK = "SourceShrank"
    RUN_FAILED = "RunFailed"
    RUN_CANCELLED = "RunCancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the update."""
        return self in _FINAL_UPDATE_STATES


_FINAL_UPDATE_STATES = {
    UpdateState.PROMOTED,
    UpdateState.REJECTED,
    UpdateState.ROLLED_BACK,
    UpdateState.SUPERSEDED,
    UpdateState.NO_CHANGE,
    UpdateState.TOO_FEW_PATIENTS,
    UpdateState.SOURCE_SHRANK,
    UpdateState.RUN_FAILED,
    UpdateState.RUN_CANCELLED,
}


class ApprovalState(StrEnum):
    """The state of an UpdateApproval: the reason of its condition ``Recorded``."""

    PENDING = "Pending"
    RECORDED = "Recorded"
    ALREADY_IN_EFFECT = "AlreadyInEffect"
    AUTHOR_UNVERIFIED = "AuthorUnverified"
    RECORDED_BEFORE = "RecordedBefore"
    UNKNOWN_MODEL = "UnknownModel"
    UNKNOWN_UPDATE = "UnknownUpdate"
    WRONG_VERSION = "WrongVersion"
    SUPERSEDED = "Superseded"
    ALREADY_REJECTED = "AlreadyRejected"
    ALREADY_PROMOTED = "AlreadyPromoted"
    NEVER_PROMOTED = "NeverPromoted"
    NO_CHAMPION = "NoChampion"
    REPORT_CHANGED = "ReportChanged"
    SCORES_MISSING = "ScoresMissing"

    @property
    def is_refused(self) -> bool:
        """Whether the approval does not count."""
        return self not in (ApprovalState.PENDING, ApprovalState.RECORDED, ApprovalState.ALREADY_IN_EFFECT)


@dataclass(frozen=True, slots=True)
class PlannedSiteStatus:
    """The state of a site, and why.

    Attributes:
        name: of the site.
        state: see ``SiteState``.
        message: for people.
        note: local mode only: what of its data the method does not read.
    """

    name: str
    state: SiteState
    message: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class PlannedUpdateStatus:
    """The state of an update, and why.

    Attributes:
        state: see ``UpdateState``.
        message: for people.
        run: its last run, as it was judged; none where there is none, or the back end is not usable.
    """

    state: UpdateState
    message: str = ""
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class PlannedApprovalStatus:
    """The state of an approval, and why.

    Attributes:
        state: see ``ApprovalState``.
        message: for people.
        log_entry: number of the entry of the log that records the approval; 0 for none.
    """

    state: ApprovalState
    message: str = ""
    log_entry: int = 0


@dataclass(frozen=True, slots=True)
class PlannedModelStatus:
    """The status of a model.

    Attributes:
        champion: digest of the version in use, or empty.
        withdrawal: who withdrew the champion, and how that ends; empty where it is not withdrawn.
        spec_problem: fields of the model that are wrong, so that no update starts; empty for none.
        sites: in the order they joined.
        planned_at: the time of the plan, UTC, ISO 8601.
        updates: by name.
        evaluation_problem: why the runs of the scheduled evaluation fail or wait; empty when they do not.
        is_evaluation_given_up: no further run of it starts.
        evaluation_run: the last run of the scheduled evaluation that is due, as it was judged, or none.
        requeue_at: when to plan again even without an event, or none.
    """

    champion: str
    sites: tuple[PlannedSiteStatus, ...] = field(default=())
    planned_at: str = ""
    updates: Mapping[str, PlannedUpdateStatus] = field(default_factory=dict)
    evaluation_problem: str = ""
    is_evaluation_given_up: bool = False
    evaluation_run: Run | None = None
    withdrawal: str = ""
    spec_problem: str = ""
    requeue_at: datetime | None = None
