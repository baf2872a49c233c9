"""The registry of one model: versions, evaluations, the log of decisions, the gate, and where they are stored."""

from anamnesis.registry.claims import claim, release
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import Approval, GatePolicy, RequiredTest, TaskLimits, decide
from anamnesis.registry.history import History, fold
from anamnesis.registry.log import Head, Log
from anamnesis.registry.promotion import adopt, approve, judge, reject, roll_back, settle
from anamnesis.registry.pruning import prunable, prune
from anamnesis.registry.run_results import (
    list_outcomes,
    read_monitoring,
    read_outcome,
    write_monitoring,
    write_outcome,
)
from anamnesis.registry.update_records import find_update, list_updates, record_update
from anamnesis.registry.verification import verify, verify_versions
from anamnesis.registry.versions import list_versions, read_part, read_version, write_version

__all__ = [
    "Approval",
    "GatePolicy",
    "Head",
    "History",
    "Log",
    "RequiredTest",
    "TaskLimits",
    "adopt",
    "approve",
    "claim",
    "decide",
    "find_update",
    "fold",
    "judge",
    "list_outcomes",
    "list_updates",
    "list_versions",
    "prunable",
    "prune",
    "read_evaluations",
    "read_monitoring",
    "read_outcome",
    "read_part",
    "read_version",
    "record_update",
    "reject",
    "release",
    "roll_back",
    "settle",
    "verify",
    "verify_versions",
    "write_evaluation",
    "write_monitoring",
    "write_outcome",
    "write_version",
]
