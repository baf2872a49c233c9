"""The decisions: a pure function of what is wanted, what is there, and the time. No I/O."""

from anamnesis.operator.plan.actions import (
    Action,
    CancelRun,
    ClaimUpdate,
    Forget,
    Record,
    Settle,
    StartEvaluation,
    StartRun,
    Submit,
)
from anamnesis.operator.plan.plan_input import (
    Candidate,
    Claim,
    Observed,
    ObservedApproval,
    ObservedEvaluation,
    ObservedSite,
    ObservedUpdate,
)
from anamnesis.operator.plan.planned_status import (
    ApprovalState,
    ApprovalStatus,
    SiteState,
    SiteStatus,
    Status,
    UpdateState,
    UpdateStatus,
)
from anamnesis.operator.plan.planning import plan

__all__ = [
    "Action",
    "ApprovalState",
    "ApprovalStatus",
    "CancelRun",
    "Candidate",
    "Claim",
    "ClaimUpdate",
    "Forget",
    "Observed",
    "ObservedApproval",
    "ObservedEvaluation",
    "ObservedSite",
    "ObservedUpdate",
    "Record",
    "Settle",
    "SiteState",
    "SiteStatus",
    "StartEvaluation",
    "StartRun",
    "Status",
    "Submit",
    "UpdateState",
    "UpdateStatus",
    "plan",
]
