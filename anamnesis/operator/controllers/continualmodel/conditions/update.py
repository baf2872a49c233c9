"""The statuses of a model's ModelUpdates."""

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import Condition, make_condition, merge_conditions, truncate_message, with_names
from anamnesis.operator.api.status import ModelUpdateStatus
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.controllers.continualmodel.run_records import cancelling_time
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.plan import PlanInput, PlannedUpdateStatus, UpdateState

STATES_THAT_FAILED = frozenset(
    {
        UpdateState.INVALID_SPEC,
        UpdateState.STEP_NOT_STARTED,
        UpdateState.REJECTED,
        UpdateState.SOURCE_SHRANK,
        UpdateState.RUN_FAILED,
        UpdateState.RUN_CANCELLED,
    }
)
"""The update gives no champion, or does not go on until a person acts."""


def update_status(
    state: ModelState, update: ModelUpdate, planned_status: PlannedUpdateStatus, plan_input: PlanInput
) -> ModelUpdateStatus:
    """Returns the status of an update."""
    name, metadata, result = update.metadata.name, update.metadata, state.registry.result_of(update)
    observed_update = next(item for item in plan_input.updates if item.name == name)
    run = planned_status.run
    report = state.reports.get(name, update.status.report)
    conditions = (
        _claimed_condition(observed_update.claim is not None, planned_status.state),
        _run_condition_without_backend(update)
        if state.backend_problem and result is None
        else _run_succeeded_condition(run, result is not None),
        make_condition(
            condition_types.DECIDED, planned_status.state.is_final, planned_status.state.value, planned_status.message
        ),
        *conditions_of_tools(planned_status),
    )
    named_conditions = with_names(conditions, metadata.namespace, update.spec.model)
    values = {
        "observed_generation": metadata.generation,
        "conditions": merge_conditions(update.status.conditions, named_conditions, metadata.generation, state.now),
        "run": _run_status(run, name)
        if run
        else update.status.run,  # a back end may forget a run; the resource keeps it
        "snapshot": result.snapshot if result else None,
        "version": (result.version or None) if result else None,
        "report": report,
        "report_digest": report.digest if report else None,
        "verdict": observed_update.candidate.verdict.value if observed_update.candidate else "",
        "new_patients": result.new_patients if result else 0,
        "completion_time": (update.status.completion_time or state.now) if planned_status.state.is_final else None,
    }
    return ModelUpdateStatus.model_validate(values, by_name=True, by_alias=False)


def conditions_of_tools(planned_status: PlannedUpdateStatus) -> tuple[Condition, ...]:
    """Returns ``Reconciling`` or ``Stalled``, where it is True: tools take their absence for an end without a fault."""
    state, message = planned_status.state, planned_status.message
    if state in STATES_THAT_FAILED:
        return (make_condition(condition_types.STALLED, True, state.value, message),)
    return () if state.is_final else (make_condition(condition_types.RECONCILING, True, state.value, message),)


def _claimed_condition(is_claimed: bool, state: UpdateState) -> Condition:
    if state is UpdateState.CLAIMED_ELSEWHERE:
        return make_condition(
            condition_types.CLAIMED,
            False,
            reasons.CLAIMED_ELSEWHERE,
            "another operator that shares the registry runs this update; wait for it",
        )
    if not is_claimed:
        return make_condition(condition_types.CLAIMED, False, reasons.NOT_CLAIMED, "no run has started yet")
    return make_condition(
        condition_types.CLAIMED,
        True,
        condition_types.CLAIMED,
        "this operator claimed the update in the registry's log",
    )


def _run_condition_without_backend(update: ModelUpdate) -> Condition:
    """The last condition stays: a back end that is not usable says nothing about the run."""
    return update.status.condition(condition_types.RUN_SUCCEEDED) or make_condition(
        condition_types.RUN_SUCCEEDED,
        None,
        reasons.BACKEND_UNREACHABLE,
        "the back end is not usable, so the state of the run is not known",
    )


def _run_succeeded_condition(run: Run | None, has_result: bool) -> Condition:
    if has_result:
        return make_condition(condition_types.RUN_SUCCEEDED, True, reasons.SUCCEEDED, "the run reported its result")
    if run is None:
        return make_condition(condition_types.RUN_SUCCEEDED, None, reasons.NOT_STARTED, "no run has started yet")
    if not run.state.is_final:
        return make_condition(condition_types.RUN_SUCCEEDED, None, run.state.value, f"run {run.name} has not ended yet")
    if run.state is RunState.SUCCEEDED:
        return make_condition(
            condition_types.RUN_SUCCEEDED,
            False,
            reasons.NO_RESULT,
            f"run {run.name} ended without a result; read the log of the run",
        )
    return make_condition(
        condition_types.RUN_SUCCEEDED,
        False,
        run.state.value,
        f"run {run.name}: {run.message or 'the back end gave no reason; read the log of the run'}",
    )


def _run_status(run: Run, update: str) -> dict[str, object]:
    return {
        "name": run.name,
        "id": run.id,
        "attempt": int(run.name.removeprefix(f"{update}-")),
        "state": run.state.value,
        "message": truncate_message(run.message),
        "start_time": run.created_at.replace(microsecond=0),
        "completion_time": run.finished_at.replace(microsecond=0) if run.finished_at else None,
        "cancelling_time": cancelling_time(run),
        "cancel_cause": run.cancel_cause.value if run.cancel_cause else "",
    }
