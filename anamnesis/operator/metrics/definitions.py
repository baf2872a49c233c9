"""The table of all metrics: name, type, labels and help text. The collectors and ``docs/metrics.md`` use it.

Names have base units; a ``_ratio`` is from 0 to 1, a ``_timestamp_seconds`` is the number of seconds since 1970, UTC.
A label's value is a name that a person chose or a word of a fixed list: never a patient, a study, a run, or a digest
other than the champion's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "anamnesis_"

_MODEL_LABELS = ("namespace", "model")
_MODEL_SITE_LABELS = (*_MODEL_LABELS, "site")
_TASK_LABELS = (*_MODEL_SITE_LABELS, "task")
_SCORE_LABELS = (*_TASK_LABELS, "evaluation_set")
_SITE_LABELS = ("namespace", "site")


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric.

    Attributes:
        name: the full name.
        type: Prometheus' type of metric.
        labels: the names of the labels; samples give their values in the same sequence.
        help_text: one sentence or phrase.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help_text: str


def _gauges(labels: tuple[str, ...], help_texts: Mapping[str, str]) -> tuple[MetricDefinition, ...]:
    return tuple(MetricDefinition(PREFIX + name, "gauge", labels, help_text) for name, help_text in help_texts.items())


MODEL_METRICS = (
    *_gauges((*_MODEL_LABELS, "champion", "method"), {
        "model_info": "1 for each ContinualModel; champion: first 12 digits of the champion's digest, empty before the "
        "first promotion."
    }),
    *_gauges((*_MODEL_LABELS, "type", "status"), {
        "model_condition": "1 where the condition has this status (True, False or Unknown), else 0."
    }),
    *_gauges((*_MODEL_LABELS, "type", "reason"), {"model_condition_reason": "1 for the condition's current reason."}),
    *_gauges(_MODEL_LABELS, {
        "model_suspended": "1 while spec.state is Suspended, else 0.",
        "model_update_deadline_seconds": "Maximum duration of a run: its deadline in spec.backend.",
        "model_champion_promoted_timestamp_seconds": "Time when the champion was promoted.",
        "model_log_entries": "Number of the last entry in the registry's log; it must never decrease.",
        "model_evaluation_timestamp_seconds": "Time when the last scheduled evaluation was completed.",
        "model_evaluation_due_timestamp_seconds": "Time when the next scheduled evaluation is due; if overdue, in the "
        "past.",
    }),
    MetricDefinition(
        f"{PREFIX}model_decisions_total",
        "counter",
        (*_MODEL_LABELS, "result"),
        "Entries in the registry's log; result: promoted, rejected, superseded, rolled_back or "
        "withdrawn.",
    ),
)  # fmt: skip

UPDATE_METRICS = (
    *_gauges((*_MODEL_SITE_LABELS, "state"), {
        "model_updates": "Existing ModelUpdate resources; state: the reason of their condition Decided.",
    }),
    *_gauges(_MODEL_SITE_LABELS, {
        "model_update_started_timestamp_seconds": "Time when the update in flight started.",
        "model_update_attempt": "Number of the current run of the update in flight, from 1; 0 before the first run.",
        "model_update_failures": "Consecutive failed updates of the site.",
        "model_update_duration_seconds": "Duration of the last completed run of the site's updates.",
        "model_awaiting_approval_timestamp_seconds": "Time since when the update in flight waits for an approval.",
    }),
    *_gauges((*_MODEL_LABELS, "result"), {
        "model_approvals": "UpdateApproval resources; result: recorded, refused or pending.",
    }),
)  # fmt: skip

MODEL_SITE_METRICS = (
    *_gauges((*_MODEL_SITE_LABELS, "state"), {
        "model_site_state": "1 for the site's current state in this model.",
    }),
    *_gauges(_MODEL_SITE_LABELS, {
        "model_site_samples": "Samples in the site's last snapshot.",
        "model_site_quarantined": "Files that the site's last ingest quarantined.",
        "model_site_quarantined_ratio": "Share of quarantined files: quarantined / (quarantined + samples).",
        "model_site_learned_timestamp_seconds": "Time when a version that learned from the site was last promoted.",
    }),
)  # fmt: skip

TASK_METRICS = (
    *_gauges((*_TASK_LABELS, "metric", "better", "unit"), {
        "task_info": "1 for each task; metric: the name of its primary metric; better: higher or lower; unit: of its "
        "scores, limits and losses, empty for shares.",
    }),
    *_gauges(_SCORE_LABELS, {
        "task_score_ratio": "The champion's primary metric, a share, or a number in its unit; evaluation_set: frozen "
        "(test set) or recent (new cases).",
        "task_score_low_ratio": "Lower bound of the score's 95 % confidence interval over patients.",
        "task_score_high_ratio": "Upper bound of the score's 95 % confidence interval over patients.",
        "task_cases": "Number of cases behind the score.",
        "task_patients": "Number of patients behind the score; 0 where it was not counted or is below 10.",
    }),
    *_gauges(_TASK_LABELS, {
        "task_first_ratio": "The score of the first accepted version that learned the site, on the frozen test set.",
        "task_floor_ratio": "The gate's minimum score on the frozen test set, where higher is better.",
        "task_ceiling_ratio": "The maximum score on the frozen test set and on recent cases, where lower is better.",
        "task_margin_ratio": "The gate's maximum loss of score against the first accepted version.",
        "task_forgotten_ratio": "Forgetting: how much worse the current score on the frozen test set is than that of "
        "the first accepted version; negative where it is better.",
        "task_recent_floor_ratio": "The minimum score on recent cases, where higher is better.",
        "task_saliency_ratio": "Overlap (IoU) of the champion's saliency maps with those of the version that learned "
        "the task.",
        "task_saliency_floor_ratio": "The gate's minimum overlap of the saliency maps.",
        "task_evaluated_timestamp_seconds": "Time of the task's last evaluation.",
    }),
)  # fmt: skip

SITE_METRICS = _gauges(_SITE_LABELS, {
    "site_ready": "1 where the operator can list the site's source, else 0.",
    "site_files": "Files at the source; for a DICOM server, instances.",
    "site_patients": "Upper bound of the number of patients at the source; 0 where a listing does not show patients.",
    "site_changed_timestamp_seconds": "Time when the content of the source last changed.",
    "site_polled_timestamp_seconds": "Time when the operator last polled the source.",
    "site_poll_interval_seconds": "Poll interval of the source: spec.source.pollInterval.",
    "site_quarantine_limit_ratio": "Share of quarantined files above which an ingest fails.",
})  # fmt: skip

RECONCILE_DURATION = MetricDefinition(
    f"{PREFIX}operator_reconcile_duration_seconds",
    "histogram",
    ("kind", "result"),
    "Duration of reconciling one resource; result: success or error.",
)
QUEUE_DEPTH, LEADER, START_TIME = _gauges((), {
    "operator_queue_depth": "Resources that are due to be reconciled and wait for a worker.",
    "operator_leader": "1 while this replica leads, else 0; only the leader exports the metrics of resources.",
    "operator_started_timestamp_seconds": "Time when this process started.",
})  # fmt: skip
(WATCH_AGE,) = _gauges(("kind",), {
    "operator_watch_age_seconds": "Time since the watch of a kind was last known to be complete, or since the start.",
})  # fmt: skip
(UNREADABLE_RESOURCES,) = _gauges(("kind",), {
    "operator_unread_resources": "Resources that the operator cannot read; no other metric includes them.",
})  # fmt: skip
(BUILD_INFO,) = _gauges(("version",), {"operator_build_info": "1; version: the operator's version."})

STATUS_METRICS = (*MODEL_METRICS, *UPDATE_METRICS, *MODEL_SITE_METRICS, *TASK_METRICS, *SITE_METRICS)
PROCESS_METRICS = (RECONCILE_DURATION, QUEUE_DEPTH, UNREADABLE_RESOURCES, WATCH_AGE, LEADER, START_TIME, BUILD_INFO)
METRIC_DEFINITIONS = (*STATUS_METRICS, *PROCESS_METRICS)
