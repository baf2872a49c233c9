"""The scores of the champion on each task, and the conditions Forgetting and Drifting."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import Condition, make_condition
from anamnesis.operator.api.scores import Score
from anamnesis.operator.api.status import TaskStatus
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.requests import gate_policy
from anamnesis.records import MINIMUM_CELL_PATIENTS, Evaluation, EvaluationSet, Measurement, Metric, SiteRef
from anamnesis.registry.first_scores import difference_to_first, reference_score
from anamnesis.registry.gate import FORGETTING, SALIENCY, SALIENCY_METRIC, SAME_CLASS_METRIC, SaliencyLimit


def task_statuses(state: ModelState) -> tuple[TaskStatus, ...]:
    """Returns the scores on each learned site: of the last scheduled evaluation, else those of the gate."""
    if not state.registry.champion:
        return ()
    if state.store_error:  # the last scores stay: without the store it is not known on which test set
        return state.model.resource.status.tasks
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
    is_lower_better = site.task.metric.is_lower_better
    limits = gate_policy(spec).limits_for(site.task)
    evaluation_by_name = {
        evaluation.name: evaluation
        for evaluation in sorted(state.evaluations.by_version[state.registry.champion], key=_saliency_order)
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
        "first_score": _decimal_text(_first_score(state, evaluation_by_name.get(FORGETTING), metric)),
        "floor": None if is_lower_better else _decimal_text(limits.floor),
        "ceiling": _decimal_text(limits.ceiling) if is_lower_better else None,
        "margin": _decimal_text(limits.margin),
        "recent_floor": None
        if is_lower_better
        else _decimal_text(limits.floor if recent_floor is None else recent_floor),
        "saliency": _decimal_text(saliency.value) if saliency else None,
        "saliency_floor": _decimal_text(_saliency_floor(limits.saliency_floor, evaluation_by_name.get(SALIENCY))),
        "evaluation_time": scheduled_evaluation.scheduled_time
        if scheduled_evaluation and frozen_measurement
        else (promotion.time if promotion else None),
    }
    return TaskStatus.model_validate(values, by_name=True, by_alias=False)


def _saliency_order(evaluation: Evaluation) -> Decimal:
    """Sorts evaluations so that the one with the least similar maps is last; those without maps are first."""
    similarity = evaluation.metrics.get(SALIENCY_METRIC)
    return Decimal("-Infinity") if similarity is None else -similarity.value


def _first_score(state: ModelState, evaluation: Evaluation | None, metric: str) -> Decimal | None:
    """Returns the score of the first accepted version that learned the site, on the same patients."""
    score = evaluation.metrics.get(metric) if evaluation else None
    if evaluation is None or score is None:
        return None
    base = state.registry.versions[state.registry.champion].base or ""
    difference = difference_to_first(evaluation, metric, base)
    return reference_score(score.value, difference) if difference else score.value


def _saliency_floor(limit: Decimal | SaliencyLimit | None, evaluation: Evaluation | None) -> Decimal | None:
    if not isinstance(limit, SaliencyLimit):
        return limit
    measured = evaluation.metrics.get(SAME_CLASS_METRIC) if evaluation else None
    return measured.value if measured else None


def _score_fields(metric: Metric | None) -> dict[str, object] | None:
    if metric is None:
        return None
    return {
        "value": str(metric.value),
        "low": _decimal_text(metric.low),
        "high": _decimal_text(metric.high),
        "cases": metric.n,
        "patients": metric.patients if metric.patients >= MINIMUM_CELL_PATIENTS else 0,
    }


def _decimal_text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)


def _value(score: Score | None) -> str:
    if score is None:
        return ""
    patients = f", {score.patients} patients" if score.patients else ""
    return f"{score.value} (n={score.cases}{patients})"


def forgetting_condition(state: ModelState, tasks: Iterable[TaskStatus]) -> Condition:
    """Returns whether the champion scores worse on a frozen test set than it should.

    Two cases: the score is worse than that of the first accepted version by more than the gate's margin; or it differs
    from the score at promotion by more than the tolerance, although weights and cases are the same.
    """
    tasks = tuple(tasks)
    if forgotten_tasks := _forgotten_tasks(tasks):
        return make_condition(
            condition_types.FORGETTING, True, reasons.SCORE_FELL, _describe_forgotten(forgotten_tasks)
        )
    if changed_measurements := _changed_measurements(state):
        return make_condition(
            condition_types.FORGETTING, True, reasons.SCORE_MOVED, _describe_changed(changed_measurements)
        )
    if any(task.frozen_score for task in tasks):
        return make_condition(
            condition_types.FORGETTING,
            False,
            reasons.WITHIN_MARGIN,
            "on every frozen test set, the champion's score is within the margin of that of the first accepted version",
        )
    return make_condition(
        condition_types.FORGETTING, None, reasons.NOT_EVALUATED, "no champion was evaluated on a frozen test set yet"
    )


def _forgotten_tasks(tasks: Iterable[TaskStatus]) -> list[TaskStatus]:
    return [task for task in tasks if task.is_forgotten]


def _changed_measurements(state: ModelState) -> list[Measurement]:
    spec, scheduled_evaluation = state.model.resource.spec, state.schedule.last_result
    tolerance = spec.evaluation.tolerance if spec.evaluation else Decimal(0)
    return [
        measurement
        for measurement in (scheduled_evaluation.measurements if scheduled_evaluation else ())
        if measurement.evaluation_set is EvaluationSet.FROZEN and measurement.recorded_score is not None
        if abs(measurement.score.value - measurement.recorded_score) > tolerance
    ]


def _worse_side(task: TaskStatus) -> str:
    return "above" if task.properties.is_lower_better else "below"


def _unit(task: TaskStatus) -> str:
    return f" {task.properties.unit}" if task.properties.unit else ""


def _describe_forgotten(forgotten_tasks: Iterable[TaskStatus]) -> str:
    losses = "; ".join(
        f"{task.site}: {task.metric} {_value(task.frozen_score)} is {_worse_side(task)} {task.first_score}, the score "
        f"of the first accepted version, by more than the margin {task.margin}{_unit(task)}"
        for task in forgotten_tasks
    )
    return (
        f"{losses}. To return to an earlier version, run: anamnesis rollback -n NAMESPACE MODEL VERSION --reason TEXT"
    )


def _describe_changed(changed_measurements: Iterable[Measurement]) -> str:
    changes = "; ".join(
        f"{measurement.site}: {measurement.metric} is {measurement.score.value}, "
        f"and was {measurement.recorded_score} at promotion"
        for measurement in changed_measurements
    )
    return (
        f"{changes}. Weights and cases are the same, so the environment differs: compare image, drivers and device of "
        "the evaluation's pods with those of the last update"
    )


def drifting_condition(tasks: Iterable[TaskStatus]) -> Condition:
    """Returns whether the champion's score on a site's recent cases is beyond its floor or ceiling."""
    measured_tasks = [task for task in tasks if task.recent_score]
    drifting_tasks = [task for task in measured_tasks if task.is_drifting]
    if drifting_tasks:
        return make_condition(
            condition_types.DRIFTING,
            True,
            reasons.RECENT_BELOW_FLOOR,
            "; ".join(
                f"{task.site}: {task.metric} {_value(task.recent_score)} on recent cases is {_worse_side(task)} the "
                f"{'ceiling' if task.properties.is_lower_better else 'floor'} {task.recent_limit}{_unit(task)}"
                for task in drifting_tasks
            )
            + ". Check devices, protocol and labels at the site; to learn the new data of the site, run: "
            f"anamnesis update -n NAMESPACE MODEL --site {drifting_tasks[0].site}",
        )
    if measured_tasks:
        return make_condition(
            condition_types.DRIFTING,
            False,
            reasons.RECENT_WITHIN_FLOOR,
            "on recent cases, the champion's score reaches the floor at every evaluated site",
        )
    return make_condition(
        condition_types.DRIFTING,
        None,
        reasons.NO_RECENT_CASES,
        "no scheduled evaluation had enough recent cases yet (spec.evaluation.minimumRecentCases)",
    )
