"""The registry of one model: versions, evaluations, the log of decisions, and the gate."""

from anamnesis.registry.claims import acquire_claim, release_claim
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import (
    ApprovalMode,
    GatePolicy,
    RequiredTestSet,
    SaliencyLimit,
    TaskLimits,
    decide_promotion,
)
from anamnesis.registry.history import History, build_history, describe_withdrawal
from anamnesis.registry.learning_rates import describe_learning_rate
from anamnesis.registry.log import Log
from anamnesis.registry.log_position import LogPosition
from anamnesis.registry.person_decisions import (
    ApprovalToRecord,
    approve,
    record_approval,
    reject,
    roll_back,
    withdraw,
)
from anamnesis.registry.promotion import evaluate_gate, import_champion, record_decision
from anamnesis.registry.pruning import PruneResult, find_prunable, prune
from anamnesis.registry.run_results import (
    list_update_results,
    read_scheduled_evaluation,
    read_update_result,
    write_scheduled_evaluation,
    write_update_result,
)
from anamnesis.registry.site_changes import record_site_change
from anamnesis.registry.step_failures import read_step_failure, write_step_failure
from anamnesis.registry.update_records import find_update_record, list_update_records, write_update_record
from anamnesis.registry.verification import verify_log, verify_objects
from anamnesis.registry.versions import list_versions, read_part, read_version, write_version

__all__ = [
    "ApprovalMode",
    "ApprovalToRecord",
    "GatePolicy",
    "History",
    "Log",
    "LogPosition",
    "PruneResult",
    "RequiredTestSet",
    "SaliencyLimit",
    "TaskLimits",
    "acquire_claim",
    "approve",
    "build_history",
    "decide_promotion",
    "describe_learning_rate",
    "describe_withdrawal",
    "evaluate_gate",
    "find_prunable",
    "find_update_record",
    "import_champion",
    "list_update_records",
    "list_update_results",
    "list_versions",
    "prune",
    "read_evaluations",
    "read_part",
    "read_scheduled_evaluation",
    "read_step_failure",
    "read_update_result",
    "read_version",
    "record_approval",
    "record_decision",
    "record_site_change",
    "reject",
    "release_claim",
    "roll_back",
    "verify_log",
    "verify_objects",
    "withdraw",
    "write_evaluation",
    "write_scheduled_evaluation",
    "write_step_failure",
    "write_update_record",
    "write_update_result",
    "write_version",
]
