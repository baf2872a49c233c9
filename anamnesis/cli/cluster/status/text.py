"""Writes the status of a namespace as lines: what each model and site waits for, and why."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from anamnesis.cli.candidate_report import format_number, format_score, report_lines
from anamnesis.cli.cluster.status.read import ModelView, NamespaceView
from anamnesis.cli.output import format_table
from anamnesis.operator.api import Site, condition_types, reasons
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.status import TaskStatus
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.records import short_digest

HEALTHY_WHEN_TRUE = (condition_types.READY, condition_types.BACKEND_REACHABLE)
"""Conditions that should be True; the others report a problem while they are True."""
SHOWN_ELSEWHERE = (condition_types.PROGRESSING, condition_types.AWAITING_APPROVAL, condition_types.RECONCILING)
"""Conditions that the line about the update, the table of sites or another condition covers."""


def status_lines(view: NamespaceView, now: datetime) -> Iterator[str]:
    """Yields lines for people.

    Args:
        view: the namespace.
        now: the time, UTC, for ages.
    """
    if not view.models and not view.sites:
        yield f"namespace {view.namespace}: no models and no sites; use -n for another namespace"
    for model in view.models:
        yield from _model_lines(model, now)
        yield ""
    if view.sites:
        yield from _site_lines(view.sites, now)


def _model_lines(view: ModelView, now: datetime) -> Iterator[str]:
    model, status = view.model, view.model.status
    promoted = f", in use for {format_age(status.promotion_time, now)}" if status.promotion_time else ""
    suspended = ", suspended" if model.spec.state == "Suspended" else ""
    yield f"{view.name}: champion {short_digest(status.champion)}{promoted}, {model.spec.method.name}{suspended}"
    if status.learning_rate:
        yield f"  learning rate {status.learning_rate}"
    if not status.conditions:
        yield "  no status yet; is the operator running?"
    elif status.observed_generation < model.metadata.generation:
        yield "  the operator has not processed the latest change"
    yield from (f"  {line}" for line in _condition_lines(status.conditions, now))
    yield from (f"  {line}" for line in _update_lines(view, now))
    yield from (f"  {line}" for line in _approval_lines(view))
    rows = [
        [
            site.name,
            site.state,
            site.samples or None,
            site.quarantined_files or None,
            site.foreign_files or None,
            format_age(site.last_learned_time, now),
            "; ".join(filter(None, (site.message, site.changes, site.note))),
        ]
        for site in status.sites
    ]
    head = ["site", "state", "samples", "quarantined", "foreign", "learned", ""]
    yield from (f"  {line}" for line in format_table(head, rows) if rows)
    yield from (f"  {line}" for line in _task_lines(status.tasks, now))
    yield from (f"  {line}" for line in _schedule_lines(view, now))
    verification = status.condition(condition_types.UNVERIFIED_PROMOTION)
    if verification and verification.reason == reasons.RECORDS_UNSIGNED:
        yield "  records of the registry: unsigned (spec.registry.signing is not set)"


def _condition_lines(conditions: tuple[Condition, ...], now: datetime) -> Iterator[str]:
    for condition in conditions:
        is_unhealthy = condition.status != "True" if condition.type in HEALTHY_WHEN_TRUE else condition.status == "True"
        if is_unhealthy and condition.type not in SHOWN_ELSEWHERE:
            duration = format_age(condition.last_transition_time, now)
            message = f": {condition.message}" if condition.message else ""
            yield f"{condition.type}={condition.status} for {duration}: {condition.reason}{message}"


def _update_lines(view: ModelView, now: datetime) -> Iterator[str]:
    update = view.update_in_flight
    if update is None:
        return
    condition, run = update.status.condition(condition_types.DECIDED), update.status.run
    state = condition.reason if condition else UpdateState.WAITING
    duration = format_age(update.metadata.creation_timestamp, now)
    yield f"update {update.metadata.name} of {update.spec.site}: {state}, started {duration} ago"
    if run is not None and state in (UpdateState.RUNNING, UpdateState.RETRYING):
        yield f"  run {run.name}: {run.state}{': ' if run.message else ''}{run.message}"
    if view.approval_command:
        report = update.status.report
        yield from (f"  {line}" for line in (report_lines(report) if report else [f"version {update.status.version}"]))
        yield f"  {view.approval_command}"


def _approval_lines(view: ModelView) -> Iterator[str]:
    for approval in view.unrecorded_approvals:
        condition = approval.status.condition(condition_types.RECORDED)
        outcome = f"{condition.reason}: {condition.message}" if condition else "not processed yet"
        yield f"{approval.metadata.name}: {approval.spec.approver}: {approval.spec.decision}: {outcome}"


def _task_lines(tasks: tuple[TaskStatus, ...], now: datetime) -> list[str]:
    rows = [
        [
            f"{task.site}/{task.task}",
            task.metric,
            format_score(task.frozen_score),
            format_number(task.frozen_limit),
            format_number(task.first_score),
            format_number(task.margin),
            format_score(task.recent_score),
            format_number(task.recent_limit),
            format_age(task.evaluation_time, now),
        ]
        for task in tasks
    ]
    head = ["task", "metric", "frozen set", "limit", "first", "margin", "recent cases", "limit", "seen"]
    return format_table(head, rows) if rows else []


def _schedule_lines(view: ModelView, now: datetime) -> Iterator[str]:
    evaluation, decisions = view.model.status.evaluation, view.model.status.decisions
    if evaluation.last_completion_time or evaluation.next_due_time:
        due = _format_due(evaluation.next_due_time, now)
        yield f"evaluated {_format_past(evaluation.last_completion_time, now)}{due}"
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in decisions.model_dump().items() if count)
    if counts:
        yield f"decisions: {counts}"


def _format_past(moment: datetime | None, now: datetime) -> str:
    return f"{format_age(moment, now)} ago" if moment else "never"


def _format_due(due_time: datetime | None, now: datetime) -> str:
    if due_time is None:
        return ""
    return f", due in {format_age(now, due_time)}" if due_time > now else ", due now"


def _site_lines(sites: tuple[Site, ...], now: datetime) -> Iterator[str]:
    rows = []
    for site in sites:
        source, condition = site.status.source, site.status.condition(condition_types.READY)
        message = "not checked yet" if condition is None else condition.message if condition.status != "True" else ""
        file_count, changed_at = (source.files, source.last_change_time) if source else (None, None)
        reason = condition.reason if condition else "-"
        rows.append(
            [
                site.metadata.name,
                reason,
                file_count,
                format_age(changed_at, now),
                format_age(site.status.last_poll_time, now),
                message,
            ]
        )
    yield from format_table(["source of", "", "files", "changed", "seen", ""], rows)


def format_age(moment: datetime | None, now: datetime | None) -> str:
    """Returns an age in one unit: ``3 d``, ``5 h``, ``12 min``, ``8 s``."""
    if moment is None or now is None:
        return "-"
    elapsed = max(now - moment, timedelta())
    for unit, length in (("d", timedelta(days=2)), ("h", timedelta(hours=2)), ("min", timedelta(minutes=2))):
        if elapsed >= length:
            return f"{elapsed // (length / 2)} {unit}"
    return f"{elapsed // timedelta(seconds=1)} s"
