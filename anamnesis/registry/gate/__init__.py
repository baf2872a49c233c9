"""The gate: decides on a candidate from a policy and evaluations. Pure: no I/O, no clock."""

from anamnesis.registry.gate.decision import MISSING_EVALUATIONS, decide_promotion
from anamnesis.registry.gate.policy import ApprovalMode, GatePolicy, SaliencyLimit, TaskLimits
from anamnesis.registry.gate.required_test_set import FORGETTING, SALIENCY, RequiredTestSet
from anamnesis.registry.gate.saliency import FAITHFULNESS_METRIC, SALIENCY_METRIC, SAME_CLASS_METRIC

__all__ = [
    "FAITHFULNESS_METRIC",
    "FORGETTING",
    "MISSING_EVALUATIONS",
    "SALIENCY",
    "SALIENCY_METRIC",
    "SAME_CLASS_METRIC",
    "ApprovalMode",
    "GatePolicy",
    "RequiredTestSet",
    "SaliencyLimit",
    "TaskLimits",
    "decide_promotion",
]
