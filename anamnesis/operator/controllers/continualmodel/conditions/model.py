"""The status of a ContinualModel."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import (
    Condition,
    fill_in_names,
    make_condition,
    merge_conditions,
    truncate_message,
    with_names,
)
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.problems import Problem, Severity, judge
from anamnesis.operator.api.status import ContinualModelStatus
from anamnesis.operator.backends.base import Run
from anamnesis.operator.controllers.continualmodel.conditions.problems import find_problems
from anamnesis.operator.controllers.continualmodel.conditions.returned_patients import returned_patients_condition
from anamnesis.operator.controllers.continualmodel.conditions.task_scores import (
    drifting_condition,
    forgetting_condition,
    task_statuses,
)
from anamnesis.operator.controllers.continualmodel.conditions.unverified_promotion import (
    unverified_promotion_condition,
)
from anamnesis.operator.controllers.continualmodel.run_records import cancelling_time
from anamnesis.operator.controllers.continualmodel.state import BackendProblem, ModelState, RegistryState
from anamnesis.operator.plan import PlanInput, PlannedModelStatus, PlannedSiteStatus, UpdateState
from anamnesis.operator.spec_checks import describe_unread_modalities
from anamnesis.records import EntryKind, LogEntry, Split, UpdateResult, describe_changes
from anamnesis.registry import describe_withdrawal

_REASONS_OF_OUTAGES = (reasons.REGISTRY_UNREACHABLE, reasons.UNREACHABLE, reasons.SECRET_MISSING)


def model_status(state: ModelState, plan_input: PlanInput, planned_status: PlannedModelStatus) -> ContinualModelStatus:
    """Returns the status of the model.

    Args:
        state: of the model, as it was read.
        plan_input: the input of the plan.
        planned_status: the status of the plan.
    """
    entries, model, last_evaluation = state.registry.entries, state.model.resource, state.schedule.last_result
    champion, evaluation, tasks = state.registry.champion, plan_input.evaluation, task_statuses(state)
    update_in_flight = next(
        (name for name, planned_update in planned_status.updates.items() if not planned_update.state.is_final), None
    )
    ready, progressing = _ready_condition(state.registry), _progressing_condition(planned_status, update_in_flight)
    other_conditions = (
        _awaiting_approval_condition(planned_status, update_in_flight),
        forgetting_condition(state, tasks),
        drifting_condition(tasks),
        _backend_condition(state.backend_problem),
        unverified_promotion_condition(state),
        returned_patients_condition(
            (site.name, result) for site in planned_status.sites if (result := _latest_result(state, site.name))
        ),
    )
    generation = model.metadata.generation
    health = judge(
        model.status,
        generation,
        ready=ready,
        problems=find_problems(state, planned_status, other_conditions),
        now=state.now,
        progress=f"{ready.message}: {progressing.message}",
    )
    conditions = (ready, progressing, *health.conditions, *other_conditions)
    named_conditions = with_names(conditions, model.metadata.namespace, model.metadata.name)
    values = {
        "observed_generation": generation,
        "conditions": merge_conditions(model.status.conditions, named_conditions, generation, state.now),
        "problem_time": health.problem_time,
        "champion": champion or None,
        "promotion_time": _champion_since(state.registry),
        "learning_rate": _describe_learning_rate(state.registry, model),
        "log_head": _log_head(entries[-1] if entries else None),
        "verified_log_entry": _log_head(state.registry.verification.verified_entry),
        "update": update_in_flight,
        "sites": [_site_status(state, plan_input, site) for site in planned_status.sites],
        "tasks": tasks,
        "decisions": _decision_counts(state.registry),
        "evaluation": {
            "last_completion_time": last_evaluation.scheduled_time if last_evaluation else None,
            "next_due_time": (evaluation.pending_due_at or evaluation.next_due_at) if evaluation else None,
            **_evaluation_run(state, planned_status.evaluation_run),
        },
    }
    return ContinualModelStatus.model_validate(values, by_name=True, by_alias=False)


def error_status(
    model: ContinualModel, condition_type: str, *, reason: str, message: str, now: datetime
) -> ContinualModelStatus:
    """Returns the status of a model that the operator cannot reconcile: its last status and the error.

    Args:
        model: the resource.
        condition_type: the condition with the error: ``Ready`` or ``BackendReachable``.
        reason: of the condition.
        message: for people.
        now: the time, UTC.
    """
    generation = model.metadata.generation
    failed_condition = make_condition(condition_type, False, reason, message)
    severity = Severity.OUTAGE if reason in _REASONS_OF_OUTAGES else Severity.FAILURE
    health = judge(
        model.status,
        generation,
        ready=failed_condition,
        problems=(Problem(severity, reason, message),),
        now=now,
    )
    replaced_types = (condition_type, condition_types.RECONCILING, condition_types.STALLED)
    other_conditions = [condition for condition in model.status.conditions if condition.type not in replaced_types]
    new_conditions = (
        [failed_condition, *health.conditions, *other_conditions]
        if condition_type == condition_types.READY
        else [*other_conditions, *health.conditions, failed_condition]
    )
    named_conditions = with_names(new_conditions, model.metadata.namespace, model.metadata.name)
    changes = {
        "observed_generation": generation,
        "conditions": merge_conditions(model.status.conditions, named_conditions, generation, now),
        "problem_time": health.problem_time,
    }
    return model.status.model_copy(update=changes)


def _log_head(entry: LogEntry | None) -> dict[str, object] | None:
    return {"number": entry.number, "digest": entry.digest} if entry else None


def _champion_since(registry: RegistryState) -> str | None:
    """When the champion was promoted, or a rollback made it champion again."""
    kinds = (EntryKind.PROMOTE, EntryKind.ROLL_BACK)
    times = [entry.time for entry in registry.entries if entry.kind in kinds and entry.subject == registry.champion]
    return times[-1] if times else None


def _describe_learning_rate(registry: RegistryState, model: ContinualModel) -> str:
    """The operator reads no records of updates, so it does not know which range test chose the rate."""
    if not registry.champion:
        return ""
    training = registry.versions[registry.champion].configuration.get("training")
    rate = training.get("learning_rate") if isinstance(training, Mapping) else None
    if rate is None or model.spec.training.learning_rate is not None:
        return str(rate or "")
    return (
        f"{rate}: spec.training.learningRate is not set, so a range test chose it at an earlier update, or it was set "
        "then; later updates of the same method, optimiser and batch size keep it; the report has the test"
    )


def _evaluation_run(state: ModelState, run: Run | None) -> dict[str, object]:
    """The run of the scheduled evaluation that is due; the last known one while the back end is not usable."""
    last_status = state.model.resource.status.evaluation
    if state.backend_problem:
        return {"run": last_status.run, "run_id": last_status.run_id, "cancelling_time": last_status.cancelling_time}
    if run is None:
        return {}
    return {
        "run": "" if run.state.is_final else run.name,
        "run_id": run.id,
        "cancelling_time": cancelling_time(run),
    }


def _ready_condition(registry: RegistryState) -> Condition:
    """Speaks of the champion alone: a back end that is not usable does not take a model out of use."""
    champion, withdrawal = registry.champion, registry.history.withdrawal
    if withdrawal:
        return make_condition(
            condition_types.READY,
            False,
            reasons.WITHDRAWN,
            f"{describe_withdrawal(withdrawal)}. Do not use any version of this model until then; to use an earlier "
            "version, run: anamnesis rollback -n NAMESPACE MODEL VERSION --reason TEXT",
        )
    if not champion:
        return make_condition(
            condition_types.READY,
            False,
            reasons.NO_CHAMPION,
            "no version was promoted yet; the first version that passes the gate becomes champion",
        )
    return make_condition(
        condition_types.READY, True, reasons.CHAMPION_IN_USE, f"version {champion[:19]} is the champion"
    )


def _backend_condition(problem: BackendProblem | None) -> Condition:
    if problem:
        return make_condition(condition_types.BACKEND_REACHABLE, False, problem.reason, problem.message)
    return make_condition(condition_types.BACKEND_REACHABLE, True, reasons.REACHABLE, "the back end is reachable")


def _progressing_condition(planned_status: PlannedModelStatus, update_in_flight: str | None) -> Condition:
    if update_in_flight is None:
        return make_condition(
            condition_types.PROGRESSING,
            False,
            reasons.IDLE,
            "; ".join(f"{site.name}: {site.state.value} {site.message}".rstrip() for site in planned_status.sites),
        )
    update = planned_status.updates[update_in_flight]
    return make_condition(
        condition_types.PROGRESSING, True, update.state.value, f"{update_in_flight}: {update.message}"
    )


def _awaiting_approval_condition(planned_status: PlannedModelStatus, update_in_flight: str | None) -> Condition:
    if update_in_flight and planned_status.updates[update_in_flight].state is UpdateState.AWAITING_APPROVAL:
        return make_condition(
            condition_types.AWAITING_APPROVAL,
            True,
            reasons.WAITS_FOR_A_PERSON,
            f"{update_in_flight}: {planned_status.updates[update_in_flight].message}",
        )
    return make_condition(
        condition_types.AWAITING_APPROVAL, False, reasons.NOTHING_WAITS, "no version waits for an approval"
    )


def _site_status(state: ModelState, plan_input: PlanInput, planned_site: PlannedSiteStatus) -> dict[str, object]:
    """The state of a site, and the counts of its last ingest, or of the snapshot in use."""
    registry, metadata = state.registry, state.model.resource.metadata
    learned_versions = [
        (digest, version.snapshot) for digest, version in registry.lineage if version.site == planned_site.name
    ]
    promotions = [registry.promotion_entry(digest) for digest, _ in learned_versions]
    learned_at = next((entry.time for entry in reversed(promotions) if entry), None)
    latest_result = _latest_result(state, planned_site.name)
    counts, site = latest_result.counts if latest_result else {}, state.sites.get(planned_site.name)
    return {
        "name": planned_site.name,
        "state": planned_site.state.value,
        "message": truncate_message(fill_in_names(planned_site.message, metadata.namespace or "", metadata.name)),
        "quarantined_files": counts.get("quarantined", 0),
        "foreign_files": counts.get("foreign", 0),
        "samples": sum(counts.get(split.value, 0) for split in Split),
        "changes": describe_changes(counts, latest_result.masked_counts) if latest_result else "",
        "note": describe_unread_modalities(state.model, site) if site else "",
        "last_learned_time": learned_at,
        "answered_request": plan_input.sites[planned_site.name].answered_counter,
    }


def _latest_result(state: ModelState, site: str) -> UpdateResult | None:
    """Returns the result of the site's last run, or of the version of the site in use."""
    registry = state.registry
    results_of_site = [result for result in registry.results.values() if result.site == site]
    result_by_snapshot = {result.snapshot or "": result for result in results_of_site}
    results = [  # the registry keeps results longer than the cluster keeps ModelUpdates
        result_by_snapshot.get(version.snapshot or "") for _, version in registry.lineage if version.site == site
    ]
    results += [registry.result_of(update) for update in state.updates if update.spec.site == site]
    return next((result for result in reversed(results) if result), None)


def _decision_counts(registry: RegistryState) -> dict[str, int]:
    entries_by_kind = Counter(entry.kind for entry in registry.entries)
    kinds = {
        "promoted": EntryKind.PROMOTE,
        "rejected": EntryKind.REJECT,
        "superseded": EntryKind.SUPERSEDE,
        "rolled_back": EntryKind.ROLL_BACK,
        "withdrawn": EntryKind.WITHDRAW,
    }
    return {name: entries_by_kind[kind] for name, kind in kinds.items()}
