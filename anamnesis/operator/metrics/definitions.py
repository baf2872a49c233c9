"""Every metric, once: name, type, labels, meaning. The collectors and ``docs/metrics.md`` are made from this table.

Names have base units; a ``_ratio`` is from 0 to 1, a ``_timestamp_seconds`` counts from 1970, UTC. Labels are names
that people gave or words of a fixed list: never a patient, a study, a run, or a digest other than the champion's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "anamnesis_"

_MODEL_LABELS = ("namespace", "model")
_MODEL_SITE_LABELS = (*_MODEL_LABELS, "site")
_TASK_LABELS = (*_MODEL_SITE_LABELS, "task")
_WINDOW_LABELS = (*_TASK_LABELS, "window")
_SITE_LABELS = ("namespace", "site")


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric.

    Attributes:
        name: whole.
        type: as Prometheus has them.
        labels: in order.
        help_text: one sentence; it is the metric's help text.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help_text: str


def _gauges(labels: tuple[str, ...], help_texts: Mapping[str, str]) -> tuple[MetricDefinition, ...]:
    return tuple(MetricDefinition(PREFIX + name, "gauge", labels, help_text) for name, help_text in help_texts.items())


MODEL_METRICS = (
    *_gauges((*_MODEL_LABELS, "champion", "method"), {
        "model_info": "1 for each ContinualModel: the start of its champion's digest (empty: none yet) and its method."
    }),
    *_gauges((*_MODEL_LABELS, "type", "status"), {
        "model_condition": "1 where the condition has this status (True, False, Unknown), else 0."
    }),
    *_gauges((*_MODEL_LABELS, "type", "reason"), {"model_condition_reason": "1 for the reason that the condition has."}),
    *_gauges(_MODEL_LABELS, {
        "model_suspended": "1 while spec.state is Suspended.",
        "model_update_deadline_seconds": "How long a run may take before it is ended.",
        "model_champion_promoted_timestamp_seconds": "When the champion came into use.",
        "model_log_entries": "Number of the last entry of the registry's log; it must never fall.",
        "model_evaluation_timestamp_seconds": "When the last scheduled evaluation ended.",
        "model_evaluation_due_timestamp_seconds": "When the next scheduled evaluation is due, or was.",
    }),
    MetricDefinition(
        f"{PREFIX}model_decisions_total",
        "counter",
        (*_MODEL_LABELS, "result"),
        "Entries of the registry's log by kind: promoted, rejected, superseded, rolled_back.",
    ),
)  # fmt: skip

UPDATE_METRICS = (
    *_gauges((*_MODEL_SITE_LABELS, "state"), {
        "model_updates": "ModelUpdate resources that are kept, by where they stand: the reason of Decided.",
    }),
    *_gauges(_MODEL_SITE_LABELS, {
        "model_update_started_timestamp_seconds": "When the update in flight began.",
        "model_update_attempt": "Which try the update in flight is at, from 1.",
        "model_update_failures": "Updates of a site of the model that failed since its last one that did not.",
        "model_update_duration_seconds": "How long the last run of the site's updates took that has ended.",
        "model_awaiting_approval_timestamp_seconds": "Since when the update in flight waits for a person's approval.",
    }),
    *_gauges((*_MODEL_LABELS, "result"), {
        "model_approvals": "UpdateApproval resources by what became of them: recorded, refused, pending.",
    }),
)  # fmt: skip

MODEL_SITE_METRICS = (
    *_gauges((*_MODEL_SITE_LABELS, "state"), {
        "model_site_state": "1 for the state in which the site stands with the model.",
    }),
    *_gauges(_MODEL_SITE_LABELS, {
        "model_site_samples": "Samples in the site's snapshot.",
        "model_site_quarantined": "Files that the site's last ingest put aside.",
        "model_site_quarantined_ratio": "Share of files put aside: quarantined / (quarantined + samples).",
        "model_site_learned_timestamp_seconds": "When data of the site last came into the champion.",
    }),
)  # fmt: skip

TASK_METRICS = (
    *_gauges((*_TASK_LABELS, "metric"), {"task_info": "1 for each task: the name of its primary metric."}),
    *_gauges(_WINDOW_LABELS, {
        "task_score_ratio": "The champion's primary metric, on the frozen test set or on recent cases.",
        "task_score_low_ratio": "Lower bound of the score's 95 % interval.",
        "task_score_high_ratio": "Upper bound of the score's 95 % interval.",
        "task_cases": "Cases that the score was measured on.",
    }),
    *_gauges(_TASK_LABELS, {
        "task_best_ratio": "The best score that any promoted version had on the frozen test set.",
        "task_floor_ratio": "The gate's floor for the score.",
        "task_margin_ratio": "How far the gate lets the score fall below the best.",
        "task_forgotten_ratio": "best - frozen score: what was forgotten; below 0 where it is better than ever.",
        "task_recent_floor_ratio": "The floor for the score on recent cases.",
        "task_saliency_ratio": "How much of what the model looked at it still looks at (IoU).",
        "task_saliency_floor_ratio": "The gate's floor for the saliency.",
        "task_evaluated_timestamp_seconds": "When the task was last evaluated.",
    }),
)  # fmt: skip

SITE_METRICS = _gauges(_SITE_LABELS, {
    "site_readable": "1 where the site's source can be listed, 0 where it cannot.",
    "site_files": "Files, or instances of a DICOM server, at the source.",
    "site_patients": "At most this many patients at the source; 0 where a listing cannot tell.",
    "site_changed_timestamp_seconds": "When what lies at the source last changed.",
    "site_polled_timestamp_seconds": "When the operator last looked at the source.",
    "site_poll_interval_seconds": "How often the operator looks at the source.",
    "site_quarantine_limit_ratio": "The share of files put aside above which an ingest fails.",
})  # fmt: skip

RECONCILE_DURATION = MetricDefinition(
    f"{PREFIX}operator_reconcile_duration_seconds",
    "histogram",
    ("kind", "result"),
    "How long bringing one resource in order took, by its kind; result: success or error.",
)
QUEUE_DEPTH, LEADER, START_TIME = _gauges((), {
    "operator_queue_depth": "Resources that wait to be brought in order.",
    "operator_leader": "1 while this replica leads; only the leader exports what is above.",
    "operator_started_timestamp_seconds": "When this process started.",
})  # fmt: skip
(WATCH_AGE,) = _gauges(("kind",), {
    "operator_watch_age_seconds": "Time since the watch of a kind was last heard of, or since the start.",
})  # fmt: skip
(UNREADABLE_RESOURCES,) = _gauges(("kind",), {
    "operator_unread_resources": "Resources that the operator cannot read; no other metric knows them.",
})  # fmt: skip
(BUILD_INFO,) = _gauges(("version",), {"operator_build_info": "1: the operator's version."})

STATUS_METRICS = (*MODEL_METRICS, *UPDATE_METRICS, *MODEL_SITE_METRICS, *TASK_METRICS, *SITE_METRICS)
PROCESS_METRICS = (RECONCILE_DURATION, QUEUE_DEPTH, UNREADABLE_RESOURCES, WATCH_AGE, LEADER, START_TIME, BUILD_INFO)
METRIC_DEFINITIONS = (*STATUS_METRICS, *PROCESS_METRICS)
