"""How the champion does on each task, and whether that is forgetting or drift."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from anamnesis.operator.api.conditions import Condition, make_condition
from anamnesis.operator.api.status import TaskStatus
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.requests import gate_policy
from anamnesis.records import EvaluationSet, Measurement, Metric, SiteRef
from anamnesis.registry.gate import FORGETTING, SALIENCY, SALIENCY_METRIC


def task_statuses(state: ModelState) -> tuple[TaskStatus, ...]:
    """Returns how the champion does on each site that it has learned: measured again, or as it was judged once."""
    if not state.registry.champion:
        return ()
    scheduled_evaluation = state.schedule.last_result
    measurement_by_set = (
        {
            (measurement.site, measurement.evaluation_set): measurement
            for measurement in scheduled_evaluation.measurements
        }
        if scheduled_evaluation
        else {}
    )
    return tuple(_task_status(state, site, measurement_by_set) for site in state.require_learned_sites())


def _task_status(
    state: ModelState, site: SiteRef, measurement_by_set: Mapping[tuple[str, EvaluationSet], Measurement]
) -> TaskStatus:
    metric, spec = site.task.primary_metric, state.model.resource.spec
    limits = gate_policy(spec.gate).limits_for(site.task.name)
    evaluation_by_name = {
        evaluation.name: evaluation
        for evaluation in state.evaluations.by_version[state.registry.champion]
        if evaluation.test_set == site.test_set and evaluation.evaluation_set is EvaluationSet.FROZEN
    }
    frozen_measurement, recent_measurement = (
        measurement_by_set.get((site.name, EvaluationSet.FROZEN)),
        measurement_by_set.get((site.name, EvaluationSet.RECENT)),
    )
    saliency = evaluation_by_name[SALIENCY].metrics.get(SALIENCY_METRIC) if SALIENCY in evaluation_by_name else None
    score = (
        frozen_measurement.score
        if frozen_measurement
        else (evaluation_by_name[FORGETTING].metrics.get(metric) if FORGETTING in evaluation_by_name else None)
    )
    promotion = state.registry.promotion_entry(state.registry.champion)
    scheduled_evaluation = state.schedule.last_result
    recent_floor = spec.evaluation.recent_floor if spec.evaluation else None
    values = {
        "site": site.name,
        "task": site.task.name,
        "metric": metric,
        "frozen_score": _score_fields(score),
        "recent_score": _score_fields(recent_measurement.score) if recent_measurement else None,
        "best_score": _decimal_text(state.best_scores.get((site.test_set, metric))),
        "floor": _decimal_text(limits.floor),
        "margin": _decimal_text(limits.margin),
        "recent_floor": _decimal_text(limits.floor if recent_floor is None else recent_floor),
        "saliency": _decimal_text(saliency.value) if saliency else None,
        "saliency_floor": _decimal_text(limits.saliency_floor),
        "evaluation_time": scheduled_evaluation.scheduled_time
        if scheduled_evaluation and frozen_measurement
        else (promotion.time if promotion else None),
    }
    return TaskStatus.model_validate(values, by_name=True, by_alias=False)


def _score_fields(metric: Metric | None) -> dict[str, object] | None:
    if metric is None:
        return None
    return {
        "value": str(metric.value),
        "low": _decimal_text(metric.low),
        "high": _decimal_text(metric.high),
        "cases": metric.n,
    }


def _decimal_text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def forgetting_condition(state: ModelState, tasks: Iterable[TaskStatus]) -> Condition:
    """Returns whether the champion knows a frozen test set less well than it should.

    Less than any promoted version ever did by more than the gate's margin, or another score than this very version had
    by more than the tolerance: the same weights on the same cases should say the same.
    """
    spec, scheduled_evaluation = state.model.resource.spec, state.schedule.last_result
    forgotten_tasks = [
        f"{task.site}: {task.metric} {task.frozen_score.value}, best {task.best_score}, margin {task.margin}"
        for task in tasks
        if task.frozen_score and task.best_score is not None and task.margin is not None
        if task.best_score - task.frozen_score.value > task.margin
    ]
    tolerance = spec.evaluation.tolerance if spec.evaluation else Decimal(0)
    changed_scores = [
        f"{measurement.site}: {measurement.metric} {measurement.score.value}, when it was judged {measurement.recorded_score}"
        for measurement in (scheduled_evaluation.measurements if scheduled_evaluation else ())
        if measurement.evaluation_set is EvaluationSet.FROZEN and measurement.recorded_score is not None
        if abs(measurement.score.value - measurement.recorded_score) > tolerance
    ]
    if forgotten_tasks:
        return make_condition("Forgetting", True, "ScoreFell", "; ".join(forgotten_tasks))
    if changed_scores:
        return make_condition("Forgetting", True, "ScoreMoved", "; ".join(changed_scores))
    if any(task.frozen_score for task in tasks):
        return make_condition("Forgetting", False, "WithinMargin", "every frozen test set is")
    return make_condition("Forgetting", None, "NotEvaluated", "there is no champion with an evaluation")


def drifting_condition(tasks: Iterable[TaskStatus]) -> Condition:
    """Returns whether the champion does worse on a site's recent cases than it must."""
    measured_tasks = [task for task in tasks if task.recent_score]
    tasks_below_floor = [
        f"{task.site}: {task.metric} {task.recent_score.value} on {task.recent_score.cases} recent cases, floor {task.recent_floor}"
        for task in measured_tasks
        if task.recent_score and task.recent_floor is not None and task.recent_score.value < task.recent_floor
    ]
    if tasks_below_floor:
        return make_condition("Drifting", True, "RecentBelowFloor", "; ".join(tasks_below_floor))
    if measured_tasks:
        return make_condition("Drifting", False, "RecentWithinFloor", "recent cases of every site that has enough are")
    return make_condition("Drifting", None, "NoRecentCases", "no scheduled evaluation has found enough new cases")
