"""The plain facts that every part shares: tasks, samples, versions, evaluations, decisions. Standard library only."""

from anamnesis.records.codec import decode, encode, encode_object
from anamnesis.records.configuration import Configuration, NetworkSpec, TrainingSettings
from anamnesis.records.decision import Criterion, Decision, Enforcement, EntryKind, LogEntry, Verdict
from anamnesis.records.digests import canonical_json, digest_bytes, digest_json, hex_of, short_digest
from anamnesis.records.errors import (
    AnamnesisError,
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    UnreachableError,
)
from anamnesis.records.evaluation import Evaluation, Metric, Window
from anamnesis.records.progress import Progress, silent
from anamnesis.records.sample import Image, Sample, Split, Target
from anamnesis.records.scheduled_evaluation import Measurement, Monitoring
from anamnesis.records.site import LabelsFrom, LabelSource, SiteConfig, SiteRef
from anamnesis.records.task import Task, TaskType, columns_of, label_space
from anamnesis.records.update_run import Arrival, Occasion, Outcome, OutcomeKind
from anamnesis.records.version import Cost, UpdateRecord, Version

__all__ = [
    "AnamnesisError",
    "Arrival",
    "Configuration",
    "ConflictError",
    "Cost",
    "Criterion",
    "Decision",
    "Enforcement",
    "EntryKind",
    "Evaluation",
    "Image",
    "InputError",
    "IntegrityError",
    "LabelSource",
    "LabelsFrom",
    "LogEntry",
    "Measurement",
    "Metric",
    "Monitoring",
    "NetworkSpec",
    "Occasion",
    "Outcome",
    "OutcomeKind",
    "Progress",
    "RefusedError",
    "Sample",
    "SiteConfig",
    "SiteRef",
    "Split",
    "Target",
    "Task",
    "TaskType",
    "TrainingSettings",
    "UnreachableError",
    "UpdateRecord",
    "Verdict",
    "Version",
    "Window",
    "canonical_json",
    "columns_of",
    "decode",
    "digest_bytes",
    "digest_json",
    "encode",
    "encode_object",
    "hex_of",
    "label_space",
    "short_digest",
    "silent",
]
