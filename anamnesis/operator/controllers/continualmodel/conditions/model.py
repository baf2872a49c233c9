"""The status of a ContinualModel."""

from collections import Counter
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
from anamnesis.operator.api.status import ContinualModelStatus
from anamnesis.operator.controllers.continualmodel.conditions.returned_patients import returned_patients_condition
from anamnesis.operator.controllers.continualmodel.conditions.task_scores import (
    drifting_condition,
    forgetting_condition,
    task_statuses,
)
from anamnesis.operator.controllers.continualmodel.conditions.unverified_promotion import (
    unverified_promotion_condition,
)
from anamnesis.operator.controllers.continualmodel.state import BackendProblem, ModelState, RegistryState
from anamnesis.operator.plan import PlanInput, PlannedModelStatus, PlannedSiteStatus, SiteState, UpdateState
from anamnesis.records import EntryKind, LogEntry, Split, UpdateResult, describe_changes
from anamnesis.registry import describe_withdrawal

_STATES_THAT_NEED_A_PERSON = {
    SiteState.UNVERIFIED_PROMOTION,
    SiteState.FAILED,
    SiteState.UNREADABLE,
    SiteState.OUTSIDE_CHANGE_PLAN,
    SiteState.SOURCE_SHRANK,
}


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
    conditions = (
        _ready_condition(state.registry),
        _progressing_condition(planned_status, update_in_flight),
        _stalled_condition(state, planned_status),
        _awaiting_approval_condition(planned_status, update_in_flight),
        forgetting_condition(state, tasks),
        drifting_condition(tasks),
        _backend_condition(state.backend_problem),
        unverified_promotion_condition(state),
        returned_patients_condition(
            (site.name, result) for site in planned_status.sites if (result := _latest_result(state, site.name))
        ),
    )
    named_conditions = with_names(conditions, model.metadata.namespace, model.metadata.name)
    values = {
        "observed_generation": model.metadata.generation,
        "conditions": merge_conditions(model.status.conditions, named_conditions, model.metadata.generation, state.now),
        "champion": champion or None,
        "promotion_time": _champion_since(state.registry),
        "log_head": _log_head(entries[-1] if entries else None),
        "verified_log_entry": _log_head(state.registry.verification.verified_entry),
        "update": update_in_flight,
        "sites": [_site_status(state, plan_input, site) for site in planned_status.sites],
        "tasks": tasks,
        "decisions": _decision_counts(state.registry),
        "evaluation": {
            "last_completion_time": last_evaluation.scheduled_time if last_evaluation else None,
            "next_due_time": (evaluation.pending_due_at or evaluation.next_due_at) if evaluation else None,
            "run": _evaluation_run(state),
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
    stalled_condition = make_condition(condition_types.STALLED, True, reason, message)
    other_conditions = [
        condition
        for condition in model.status.conditions
        if condition.type not in (condition_type, condition_types.STALLED)
    ]
    new_conditions = (
        [failed_condition, stalled_condition, *other_conditions]
        if condition_type == condition_types.READY
        else [*other_conditions, stalled_condition, failed_condition]
    )
    conditions = merge_conditions(model.status.conditions, new_conditions, generation, now)
    return model.status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def _log_head(entry: LogEntry | None) -> dict[str, object] | None:
    return {"number": entry.number, "digest": entry.digest} if entry else None


def _champion_since(registry: RegistryState) -> str | None:
    """When the champion was promoted, or a rollback made it champion again."""
    kinds = (EntryKind.PROMOTE, EntryKind.ROLL_BACK)
    times = [entry.time for entry in registry.entries if entry.kind in kinds and entry.subject == registry.champion]
    return times[-1] if times else None


def _evaluation_run(state: ModelState) -> str:
    """The run of a scheduled evaluation in progress; the last known one while the back end is not usable."""
    if state.backend_problem:
        return state.model.resource.status.evaluation.run
    return next((run.name for run in state.runs if "-evaluation-" in run.name and not run.state.is_final), "")


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


def _stalled_condition(state: ModelState, planned_status: PlannedModelStatus) -> Condition:
    withdrawal = state.registry.history.withdrawal
    if withdrawal:
        return make_condition(condition_types.STALLED, True, reasons.WITHDRAWN, describe_withdrawal(withdrawal))
    if problem := state.spec_problem or state.secret_problem:
        return make_condition(condition_types.STALLED, True, reasons.INVALID_SPEC, problem)
    if state.backend_problem:
        return make_condition(
            condition_types.STALLED, True, state.backend_problem.reason, state.backend_problem.message
        )
    if state.store_error:
        return make_condition(condition_types.STALLED, True, reasons.STORE_UNREADABLE, str(state.store_error))
    stalled_sites = [site for site in planned_status.sites if site.state in _STATES_THAT_NEED_A_PERSON]
    if stalled_sites:
        return make_condition(
            condition_types.STALLED,
            True,
            stalled_sites[0].state.value,
            "; ".join(f"{site.name}: {site.message}" for site in stalled_sites),
        )
    if planned_status.evaluation_problem:
        return make_condition(
            condition_types.STALLED, True, reasons.EVALUATION_FAILED, planned_status.evaluation_problem
        )
    return make_condition(  # no message: a column of kubectl shows it
        condition_types.STALLED, False, reasons.NOTHING_TO_DO
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
    counts = latest_result.counts if latest_result else {}
    return {
        "name": planned_site.name,
        "state": planned_site.state.value,
        "message": truncate_message(fill_in_names(planned_site.message, metadata.namespace or "", metadata.name)),
        "quarantined_files": counts.get("quarantined", 0),
        "foreign_files": counts.get("foreign", 0),
        "samples": sum(counts.get(split.value, 0) for split in Split),
        "changes": describe_changes(counts, latest_result.masked_counts) if latest_result else "",
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
