"""The gate: decides on a candidate from a policy and evaluations. Pure; decimals are compared exactly."""

from anamnesis.registry.gate.decision import (
    MISSING_EVALUATIONS,
    SALIENCY_METRIC,
    SAME_CLASS_METRIC,
    ReferenceScores,
    decide_promotion,
)
from anamnesis.registry.gate.policy import ApprovalMode, GatePolicy, SaliencyLimit, TaskLimits
from anamnesis.registry.gate.required_test_set import FORGETTING, SALIENCY, RequiredTestSet

__all__ = [
    "FORGETTING",
    "MISSING_EVALUATIONS",
    "SALIENCY",
    "SALIENCY_METRIC",
    "SAME_CLASS_METRIC",
    "ApprovalMode",
    "GatePolicy",
    "ReferenceScores",
    "RequiredTestSet",
    "SaliencyLimit",
    "TaskLimits",
    "decide_promotion",
]
