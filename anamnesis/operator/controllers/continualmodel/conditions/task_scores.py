"""How the champion does on each task, and whether that is forgetting or drift."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from anamnesis.operator.api.conditions import Condition, condition
from anamnesis.operator.api.status import TaskStatus
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.requests import gate_policy
from anamnesis.records import Evaluation, Measurement, Metric, Monitoring, SiteRef, Window
from anamnesis.registry import RequiredTest, read_evaluations
from anamnesis.registry.gate import FORGETTING, SALIENCY, SALIENCY_METRIC
from anamnesis.registry.promotion import read_references


def task_statuses(scene: Scene, found: Monitoring | None) -> tuple[TaskStatus, ...]:
    """Returns how the champion does on each site that it has learned: measured again, or as it was judged once."""
    if not scene.champion:
        return ()
    tests = [RequiredTest(site.name, site.task, site.test_set, new=False) for site in scene.learned]
    best = read_references(scene.registry, scene.history.promoted, tests)
    evaluations = read_evaluations(scene.registry, scene.champion, {site.test_set for site in scene.learned})
    measured = {(one.site, one.window): one for one in found.measurements} if found else {}
    return tuple(_task(scene, site, best, evaluations, measured, found) for site in scene.learned)


def _task(
    scene: Scene,
    site: SiteRef,
    best: Mapping[tuple[str, str], Decimal],
    evaluations: Iterable[Evaluation],
    measured: Mapping[tuple[str, Window], Measurement],
    found: Monitoring | None,
) -> TaskStatus:
    metric, spec = site.task.primary_metric, scene.model.resource.spec
    limits = gate_policy(spec.gate).limits(site.task.name)
    stored = {one.name: one for one in evaluations if one.test_set == site.test_set and one.window is Window.FROZEN}
    frozen, recent = measured.get((site.name, Window.FROZEN)), measured.get((site.name, Window.RECENT))
    saliency = stored[SALIENCY].metrics.get(SALIENCY_METRIC) if SALIENCY in stored else None
    score = frozen.score if frozen else (stored[FORGETTING].metrics.get(metric) if FORGETTING in stored else None)
    promotion = scene.promotion(scene.champion)
    recent_floor = spec.evaluation.recent_floor if spec.evaluation else None
    values = {
        "site": site.name,
        "task": site.task.name,
        "metric": metric,
        "frozen": _score(score),
        "recent": _score(recent.score) if recent else None,
        "best": _text(best.get((site.test_set, metric))),
        "floor": _text(limits.floor),
        "margin": _text(limits.margin),
        "recent_floor": _text(limits.floor if recent_floor is None else recent_floor),
        "saliency": _text(saliency.value) if saliency else None,
        "saliency_floor": _text(limits.saliency_floor),
        "evaluated": found.time if found and frozen else (promotion.time if promotion else None),
    }
    return TaskStatus.model_validate(values, by_name=True, by_alias=False)


def _score(metric: Metric | None) -> dict[str, object] | None:
    if metric is None:
        return None
    return {"value": str(metric.value), "low": _text(metric.low), "high": _text(metric.high), "cases": metric.n}


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def forgetting(scene: Scene, tasks: Iterable[TaskStatus], found: Monitoring | None) -> Condition:
    """Returns whether the champion knows a frozen test set less well than it should.

    Less than any promoted version ever did by more than the gate's margin, or another score than this very version had
    by more than the tolerance: the same weights on the same cases should say the same.
    """
    spec = scene.model.resource.spec
    fallen = [
        f"{task.site}: {task.metric} {task.frozen.value}, best {task.best}, margin {task.margin}"
        for task in tasks
        if task.frozen and task.best is not None and task.margin is not None
        if task.best - task.frozen.value > task.margin
    ]
    tolerance = spec.evaluation.tolerance if spec.evaluation else Decimal(0)
    moved = [
        f"{one.site}: {one.metric} {one.score.value}, when it was judged {one.recorded}"
        for one in (found.measurements if found else ())
        if one.window is Window.FROZEN and one.recorded is not None
        if abs(one.score.value - one.recorded) > tolerance
    ]
    if fallen:
        return condition("Forgetting", True, "ScoreFell", "; ".join(fallen))
    if moved:
        return condition("Forgetting", True, "ScoreMoved", "; ".join(moved))
    if any(task.frozen for task in tasks):
        return condition("Forgetting", False, "WithinMargin", "every frozen test set is")
    return condition("Forgetting", None, "NotEvaluated", "there is no champion with an evaluation")


def drifting(tasks: Iterable[TaskStatus]) -> Condition:
    """Returns whether the champion does worse on a site's recent cases than it must."""
    judged = [task for task in tasks if task.recent]
    below = [
        f"{task.site}: {task.metric} {task.recent.value} on {task.recent.cases} recent cases, floor {task.recent_floor}"
        for task in judged
        if task.recent and task.recent_floor is not None and task.recent.value < task.recent_floor
    ]
    if below:
        return condition("Drifting", True, "RecentBelowFloor", "; ".join(below))
    if judged:
        return condition("Drifting", False, "RecentWithinFloor", "recent cases of every site that has enough are")
    return condition("Drifting", None, "NoRecentCases", "no scheduled evaluation has found enough new cases")
