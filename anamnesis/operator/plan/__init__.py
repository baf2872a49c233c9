"""The decisions: a pure function of the spec, the state that was read, and the time. No I/O."""

from anamnesis.operator.plan.actions import (
    Action,
    CancelRun,
    ClaimUpdate,
    CreateUpdate,
    DeleteUpdate,
    RecordDecision,
    StartEvaluation,
    StartRun,
)
from anamnesis.operator.plan.plan_input import (
    Candidate,
    Claim,
    ObservedApproval,
    ObservedEvaluation,
    ObservedSite,
    ObservedUpdate,
    PlanInput,
)
from anamnesis.operator.plan.planned_status import (
    ApprovalState,
    PlannedApprovalStatus,
    PlannedModelStatus,
    PlannedSiteStatus,
    PlannedUpdateStatus,
    SiteState,
    UpdateState,
)
from anamnesis.operator.plan.planning import plan

__all__ = [
    "Action",
    "ApprovalState",
    "CancelRun",
    "Candidate",
    "Claim",
    "ClaimUpdate",
    "CreateUpdate",
    "DeleteUpdate",
    "ObservedApproval",
    "ObservedEvaluation",
    "ObservedSite",
    "ObservedUpdate",
    "PlanInput",
    "PlannedApprovalStatus",
    "PlannedModelStatus",
    "PlannedSiteStatus",
    "PlannedUpdateStatus",
    "RecordDecision",
    "SiteState",
    "StartEvaluation",
    "StartRun",
    "UpdateState",
    "plan",
]
