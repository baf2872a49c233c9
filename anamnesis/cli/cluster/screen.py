"""One screen about a namespace: what each model and site waits for, and why."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from anamnesis.cli.cluster.overview import ClusterView, ModelView
from anamnesis.cli.output import table
from anamnesis.operator.api import Site
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.status import Score, TaskStatus
from anamnesis.records import short_digest

GOOD = ("Ready", "BackendReachable")
"""Conditions that should be True; the others tell of trouble while they are."""
QUIET = ("Progressing", "AwaitingApproval")
"""What the line about the update tells."""


def screen(view: ClusterView, now: datetime) -> Iterator[str]:
    """Yields lines for people.

    Args:
        view: what there is.
        now: the time, UTC: ages are told, not times.
    """
    if not view.models and not view.sites:
        yield f"namespace {view.namespace}: no models and no sites; another namespace is named by -n"
    for model in view.models:
        yield from _model(model, now)
        yield ""
    if view.sites:
        yield from _sites(view.sites, now)


def _model(view: ModelView, now: datetime) -> Iterator[str]:
    model, status = view.model, view.model.status
    promoted = f", in use for {age(status.promoted, now)}" if status.promoted else ""
    suspended = ", suspended" if model.spec.state == "Suspended" else ""
    yield f"{view.name}: champion {short_digest(status.champion)}{promoted}, {model.spec.method.name}{suspended}"
    if not status.conditions:
        yield "  the operator has not looked at it yet; is it running?"
    elif status.observed_generation < model.metadata.generation:
        yield "  the operator has not seen the last change yet"
    yield from (f"  {line}" for line in _troubles(status.conditions, now))
    yield from (f"  {line}" for line in _update(view, now))
    yield from (f"  {line}" for line in _words(view))
    rows = [
        [site.name, site.state, site.samples or None, site.quarantined or None, age(site.learned, now), site.message]
        for site in status.sites
    ]
    head = ["site", "state", "samples", "quarantined", "learned", ""]
    yield from (f"  {line}" for line in table(head, rows) if rows)
    yield from (f"  {line}" for line in _tasks(status.tasks, now))
    yield from (f"  {line}" for line in _schedule(view, now))


def _troubles(conditions: tuple[Condition, ...], now: datetime) -> Iterator[str]:
    for each in conditions:
        bad = each.status != "True" if each.type in GOOD else each.status == "True"
        if bad and each.type not in QUIET:
            since = age(each.last_transition_time, now)
            yield f"{each.type}={each.status} for {since}: {each.reason}{': ' if each.message else ''}{each.message}"


def _update(view: ModelView, now: datetime) -> Iterator[str]:
    update = view.in_flight
    if update is None:
        return
    decided, run = update.status.condition("Decided"), update.status.run
    state = decided.reason if decided else "Waiting"
    since = age(update.metadata.creation_timestamp, now)
    yield f"update {update.metadata.name} of {update.spec.site}: {state}, begun {since} ago"
    if run is not None and state in ("Running", "Retrying"):
        yield f"  run {run.name}: {run.state}{': ' if run.message else ''}{run.message}"
    if view.approval:
        yield f"  version {update.status.version}"
        yield f"  {view.approval}"


def _words(view: ModelView) -> Iterator[str]:
    for each in view.unheard:
        recorded = each.status.condition("Recorded")
        answer = f"{recorded.reason}: {recorded.message}" if recorded else "not examined yet"
        yield f"{each.metadata.name}: {each.spec.approver} says {each.spec.decision}: {answer}"


def _tasks(tasks: tuple[TaskStatus, ...], now: datetime) -> list[str]:
    rows = [
        [
            f"{task.site}/{task.task}",
            task.metric,
            _score(task.frozen),
            _number(task.floor),
            _number(task.best),
            _number(task.margin),
            _score(task.recent),
            _number(task.recent_floor),
            age(task.evaluated, now),
        ]
        for task in tasks
    ]
    head = ["task", "metric", "frozen set", "floor", "best", "margin", "recent cases", "floor", "seen"]
    return table(head, rows) if rows else []


def _score(score: Score | None) -> str:
    if score is None:
        return "-"
    bounds = f" [{_number(score.low)}, {_number(score.high)}]" if score.low is not None else ""
    return f"{_number(score.value)}{bounds} n={score.cases}"


def _number(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _schedule(view: ModelView, now: datetime) -> Iterator[str]:
    evaluation, decisions = view.model.status.evaluation, view.model.status.decisions
    if evaluation.last or evaluation.next:
        due = f", due in {age(now, evaluation.next)}" if evaluation.next and evaluation.next > now else ", due now"
        yield f"evaluated {age(evaluation.last, now)} ago{due if evaluation.next else ''}"
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in decisions.model_dump().items() if count)
    if counts:
        yield f"decisions: {counts}"


def _sites(sites: tuple[Site, ...], now: datetime) -> Iterator[str]:
    rows = []
    for site in sites:
        source, readable = site.status.source, site.status.condition("Readable")
        message = "not looked at yet" if readable is None else readable.message if readable.status != "True" else ""
        files, changed = (source.files, source.changed) if source else (None, None)
        word = readable.reason if readable else "-"
        rows.append([site.metadata.name, word, files, age(changed, now), age(site.status.polled, now), message])
    yield from table(["source of", "", "files", "changed", "seen", ""], rows)


def age(then: datetime | None, now: datetime | None) -> str:
    """Returns how long ago something was, in its two largest units' first: ``3 d``, ``5 h``, ``12 min``, ``8 s``."""
    if then is None or now is None:
        return "-"
    passed = max(now - then, timedelta())
    for unit, length in (("d", timedelta(days=2)), ("h", timedelta(hours=2)), ("min", timedelta(minutes=2))):
        if passed >= length:
            return f"{passed // (length / 2)} {unit}"
    return f"{passed // timedelta(seconds=1)} s"
