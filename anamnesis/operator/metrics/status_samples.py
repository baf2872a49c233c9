"""Samples from the status of a model, and of a site."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.condition_types import READY
from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.status import ModelSiteStatus, ResourceStatus, TaskStatus

SampleValue = Decimal | datetime | float | None
MetricSample = tuple[str, tuple[str, ...], SampleValue]
"""A metric's name without prefix, the values of its labels, and its value; none: the value is unknown, no series."""

DIGEST_DIGITS = 12


def to_number(value: Decimal | datetime | float) -> float:
    """Returns the value of a sample; a time as seconds since 1970."""
    return value.timestamp() if isinstance(value, datetime) else float(value)


def resource_labels(resource: Resource) -> tuple[str, str]:
    """Returns namespace and name: the values of the first labels of every series of a resource."""
    return resource.metadata.namespace or "", resource.metadata.name


def model_samples(model: ContinualModel) -> Iterator[MetricSample]:
    """Yields the samples of a model, its sites and its tasks."""
    labels, status = resource_labels(model), model.status
    champion = (status.champion or "").removeprefix("sha256:")[:DIGEST_DIGITS]
    yield "model_info", (*labels, champion, model.spec.method.name), 1
    yield from _condition_samples(labels, status)
    yield "model_suspended", labels, model.spec.state == "Suspended"
    yield "model_update_deadline_seconds", labels, parse_duration(model.spec.backend.run_deadline).total_seconds()
    yield "model_champion_promoted_timestamp_seconds", labels, status.promotion_time
    yield "model_log_entries", labels, status.log_head.number if status.log_head else None
    yield "model_evaluation_timestamp_seconds", labels, status.evaluation.last_completion_time
    yield "model_evaluation_due_timestamp_seconds", labels, status.evaluation.next_due_time
    for result, count in status.decisions.model_dump().items():
        yield "model_decisions_total", (*labels, result), count
    for site in status.sites:
        yield from _model_site_samples((*labels, site.name), site)
    for task in status.tasks:
        yield from _task_samples((*labels, task.site, task.task), task)


def _condition_samples(labels: tuple[str, ...], status: ResourceStatus) -> Iterator[MetricSample]:
    for condition in status.conditions:
        for condition_status in ("True", "False", "Unknown"):
            yield "model_condition", (*labels, condition.type, condition_status), condition.status == condition_status
        yield "model_condition_reason", (*labels, condition.type, condition.reason), 1


def _model_site_samples(labels: tuple[str, ...], site: ModelSiteStatus) -> Iterator[MetricSample]:
    file_count = site.quarantined_files + site.samples
    yield "model_site_state", (*labels, site.state), 1
    yield "model_site_samples", labels, site.samples
    yield "model_site_quarantined", labels, site.quarantined_files
    yield "model_site_quarantined_ratio", labels, site.quarantined_files / file_count if file_count else None
    yield "model_site_learned_timestamp_seconds", labels, site.last_learned_time


def _task_samples(labels: tuple[str, ...], task: TaskStatus) -> Iterator[MetricSample]:
    properties = task.properties
    direction = "lower" if properties.is_lower_better else "higher"
    yield "task_info", (*labels, task.metric, direction, properties.unit), 1
    for evaluation_set, score in (("frozen", task.frozen_score), ("recent", task.recent_score)):
        if score is not None:
            yield "task_score_ratio", (*labels, evaluation_set), score.value
            yield "task_score_low_ratio", (*labels, evaluation_set), score.low
            yield "task_score_high_ratio", (*labels, evaluation_set), score.high
            yield "task_cases", (*labels, evaluation_set), score.cases
            yield "task_patients", (*labels, evaluation_set), score.patients
    yield "task_first_ratio", labels, task.first_score
    yield "task_floor_ratio", labels, task.floor
    yield "task_ceiling_ratio", labels, task.ceiling
    yield "task_margin_ratio", labels, task.margin
    yield "task_forgotten_ratio", labels, task.forgotten
    yield "task_recent_floor_ratio", labels, task.recent_floor
    yield "task_saliency_ratio", labels, task.saliency
    yield "task_saliency_floor_ratio", labels, task.saliency_floor
    yield "task_evaluated_timestamp_seconds", labels, task.evaluation_time


def site_samples(site: Site) -> Iterator[MetricSample]:
    """Yields the samples of a site's source."""
    labels, source = resource_labels(site), site.status.source
    ready_condition = site.status.condition(READY)
    yield "site_ready", labels, ready_condition.status == "True" if ready_condition is not None else None
    if source is not None:
        yield "site_files", labels, source.files
        yield "site_patients", labels, source.patients
        yield "site_changed_timestamp_seconds", labels, source.last_change_time
    yield "site_polled_timestamp_seconds", labels, site.status.last_poll_time
    yield "site_poll_interval_seconds", labels, parse_duration(site.spec.source.poll_interval).total_seconds()
    yield "site_quarantine_limit_ratio", labels, site.spec.maximum_quarantine_share
