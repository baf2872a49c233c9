"""What the status of a model, and of a site, says in numbers."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.durations import duration
from anamnesis.operator.api.status import ModelSiteStatus, Status, TaskStatus

Value = Decimal | datetime | float | None
Sample = tuple[str, tuple[str, ...], Value]
"""A metric's name without prefix, the values of its labels in order, and its value; none: not known, no series."""

SHOWN_DIGITS = 12


def number(value: Decimal | datetime | float) -> float:
    """Returns a value as Prometheus has it; a time as seconds since 1970."""
    return value.timestamp() if isinstance(value, datetime) else float(value)


def place(resource: Resource) -> tuple[str, str]:
    """Returns namespace and name: the first labels of every series about a resource."""
    return resource.metadata.namespace or "", resource.metadata.name


def model_samples(model: ContinualModel) -> Iterator[Sample]:
    """Yields what is known of a model, its sites and its tasks."""
    where, status = place(model), model.status
    champion = (status.champion or "").removeprefix("sha256:")[:SHOWN_DIGITS]
    yield "model_info", (*where, champion, model.spec.method.name), 1
    yield from _conditions(where, status)
    yield "model_suspended", where, model.spec.state == "Suspended"
    yield "model_update_deadline_seconds", where, duration(model.spec.backend.deadline).total_seconds()
    yield "model_champion_promoted_timestamp_seconds", where, status.promoted
    yield "model_log_entries", where, status.head.number if status.head else None
    yield "model_evaluation_timestamp_seconds", where, status.evaluation.last
    yield "model_evaluation_due_timestamp_seconds", where, status.evaluation.next
    for result, count in status.decisions.model_dump().items():
        yield "model_decisions_total", (*where, result), count
    for site in status.sites:
        yield from _model_site((*where, site.name), site)
    for task in status.tasks:
        yield from _task((*where, task.site, task.task), task)


def _conditions(where: tuple[str, ...], status: Status) -> Iterator[Sample]:
    for condition in status.conditions:
        for possible in ("True", "False", "Unknown"):
            yield "model_condition", (*where, condition.type, possible), condition.status == possible
        yield "model_condition_reason", (*where, condition.type, condition.reason), 1


def _model_site(where: tuple[str, ...], site: ModelSiteStatus) -> Iterator[Sample]:
    seen = site.quarantined + site.samples
    yield "model_site_state", (*where, site.state), 1
    yield "model_site_samples", where, site.samples
    yield "model_site_quarantined", where, site.quarantined
    yield "model_site_quarantined_ratio", where, site.quarantined / seen if seen else None
    yield "model_site_learned_timestamp_seconds", where, site.learned


def _task(where: tuple[str, ...], task: TaskStatus) -> Iterator[Sample]:
    yield "task_info", (*where, task.metric), 1
    for window, score in (("frozen", task.frozen), ("recent", task.recent)):
        if score is not None:
            yield "task_score_ratio", (*where, window), score.value
            yield "task_score_low_ratio", (*where, window), score.low
            yield "task_score_high_ratio", (*where, window), score.high
            yield "task_cases", (*where, window), score.cases
    forgotten = task.best - task.frozen.value if task.best is not None and task.frozen is not None else None
    yield "task_best_ratio", where, task.best
    yield "task_floor_ratio", where, task.floor
    yield "task_margin_ratio", where, task.margin
    yield "task_forgotten_ratio", where, forgotten
    yield "task_recent_floor_ratio", where, task.recent_floor
    yield "task_saliency_ratio", where, task.saliency
    yield "task_saliency_floor_ratio", where, task.saliency_floor
    yield "task_evaluated_timestamp_seconds", where, task.evaluated


def site_samples(site: Site) -> Iterator[Sample]:
    """Yields what is known of a site's source."""
    where, source = place(site), site.status.source
    readable = site.status.condition("Readable")
    yield "site_readable", where, readable.status == "True" if readable is not None else None
    if source is not None:
        yield "site_files", where, source.files
        yield "site_patients", where, source.patients
        yield "site_changed_timestamp_seconds", where, source.changed
    yield "site_polled_timestamp_seconds", where, site.status.polled
    yield "site_poll_interval_seconds", where, duration(site.spec.source.poll_interval).total_seconds()
    yield "site_quarantine_limit_ratio", where, site.spec.maximum_quarantine_share
