"""The data types that all packages share: tasks, samples, versions, evaluations, decisions. Standard library only."""

from anamnesis.records.codec import decode, encode, encode_object
from anamnesis.records.configuration import Configuration, NetworkSettings, TrainingSettings
from anamnesis.records.decision import (
    Criterion,
    Decision,
    DecisionOutcome,
    Enforcement,
    EntryKind,
    LogEntry,
    PersonDecision,
    RecordedApproval,
    Verdict,
)
from anamnesis.records.digests import canonical_json, digest_bytes, digest_hex, digest_json, short_digest
from anamnesis.records.errors import (
    AnamnesisError,
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    UnreachableError,
)
from anamnesis.records.evaluation import (
    MINIMUM_CELL_PATIENTS,
    MINIMUM_TEST_PATIENTS,
    Calibration,
    Evaluation,
    EvaluationSet,
    Metric,
    recall_metric,
)
from anamnesis.records.progress import Progress, ignore_progress
from anamnesis.records.sample import TRAINING_SPLITS, Image, Sample, Split, Target
from anamnesis.records.scheduled_evaluation import Measurement, ScheduledEvaluation
from anamnesis.records.signature import PublicKey, Signature, SignerRole, SigningSettings
from anamnesis.records.site import LabelOrigin, LabelSource, PatientOrigin, SiteConfig, SiteRef
from anamnesis.records.task import Task, TaskType, find_class_indices, label_space
from anamnesis.records.update_run import (
    CORRECTED_TEST_LABELS,
    RETURNED_IMAGES,
    HeldBack,
    SourceState,
    UpdateResult,
    UpdateResultKind,
    UpdateTrigger,
)
from anamnesis.records.version import UpdateCost, UpdateRecord, Version

__all__ = [
    "CORRECTED_TEST_LABELS",
    "MINIMUM_CELL_PATIENTS",
    "MINIMUM_TEST_PATIENTS",
    "RETURNED_IMAGES",
    "TRAINING_SPLITS",
    "AnamnesisError",
    "Calibration",
    "Configuration",
    "ConflictError",
    "Criterion",
    "Decision",
    "DecisionOutcome",
    "Enforcement",
    "EntryKind",
    "Evaluation",
    "EvaluationSet",
    "HeldBack",
    "Image",
    "InputError",
    "IntegrityError",
    "LabelOrigin",
    "LabelSource",
    "LogEntry",
    "Measurement",
    "Metric",
    "NetworkSettings",
    "PatientOrigin",
    "PersonDecision",
    "Progress",
    "PublicKey",
    "RecordedApproval",
    "RefusedError",
    "Sample",
    "ScheduledEvaluation",
    "Signature",
    "SignerRole",
    "SigningSettings",
    "SiteConfig",
    "SiteRef",
    "SourceState",
    "Split",
    "Target",
    "Task",
    "TaskType",
    "TrainingSettings",
    "UnreachableError",
    "UpdateCost",
    "UpdateRecord",
    "UpdateResult",
    "UpdateResultKind",
    "UpdateTrigger",
    "Verdict",
    "Version",
    "canonical_json",
    "decode",
    "digest_bytes",
    "digest_hex",
    "digest_json",
    "encode",
    "encode_object",
    "find_class_indices",
    "ignore_progress",
    "label_space",
    "recall_metric",
    "short_digest",
]
