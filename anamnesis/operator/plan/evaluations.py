"""When a scheduled evaluation of the champion starts, and what happens when its runs fail."""

from dataclasses import replace
from datetime import datetime

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.plan.actions import Action, StartEvaluation
from anamnesis.operator.plan.plan_input import ObservedEvaluation, PlanInput
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.operator.plan.run_judgement import is_counted, judge_runs
from anamnesis.operator.plan.update_lifecycle import (
    RUN_POLL_INTERVAL,
    UpdatePlan,
    describe_live_run,
    failure_reason,
    next_attempt,
    retry_delay,
)


def decide_evaluation(spec: ContinualModelSpec, plan_input: PlanInput, now: datetime) -> UpdatePlan | None:
    """Returns what to do for the scheduled evaluation; none where the model has no schedule or no champion.

    Only the last time of the schedule counts: after an outage one evaluation runs, not one for each missed time. A
    suspended model is evaluated too, because its champion is still in use.
    """
    evaluation = plan_input.evaluation
    if evaluation is None:
        return None
    if plan_input.backend_problem or plan_input.store_problem:
        return UpdatePlan(UpdateState.BACKEND_UNREACHABLE)
    if evaluation.pending_due_at is None:
        return UpdatePlan(UpdateState.WAITING, requeue_at=evaluation.next_due_at)
    runs = judge_runs(spec, evaluation.runs, evaluation.recorded_run, now)
    plan = _decide_pending(spec, evaluation, evaluation.pending_due_at, runs, now)
    return replace(plan, run=runs[-1] if runs else None)


def _decide_pending(
    spec: ContinualModelSpec, evaluation: ObservedEvaluation, due_at: datetime, runs: tuple[Run, ...], now: datetime
) -> UpdatePlan:
    if live_runs := [run for run in runs if not run.state.is_final]:
        state, message, end_actions = describe_live_run(spec, live_runs[-1], now)
        is_told = state is UpdateState.STEP_NOT_STARTED
        return UpdatePlan(state, message if is_told else "", end_actions, now + RUN_POLL_INTERVAL)
    ended_runs = [run for run in runs if is_counted(run)]
    ended_count, retries = len(ended_runs), spec.backend.retries
    start_actions: tuple[Action, ...] = (StartEvaluation(evaluation.name, next_attempt(runs), due_at),)
    if not ended_count or not is_counted(runs[-1]):
        return UpdatePlan(UpdateState.RUNNING, "", start_actions, now + RUN_POLL_INTERVAL)
    last_run, next_due = ended_runs[-1], f"the next evaluation is due at {evaluation.next_due_at:%Y-%m-%d %H:%M} UTC"
    if last_run.state is RunState.CANCELLED:
        return UpdatePlan(
            UpdateState.RUN_CANCELLED,
            f"somebody cancelled run {last_run.name} of the scheduled evaluation; {next_due}",
            requeue_at=evaluation.next_due_at,
        )
    if ended_count > retries or last_run.is_permanent:
        return UpdatePlan(
            UpdateState.RUN_FAILED,
            f"all {ended_count} runs of the scheduled evaluation failed, the last one: {failure_reason(last_run)}; "
            f"read the log of run {last_run.name} and fix the cause; {next_due}",
            requeue_at=evaluation.next_due_at,
        )
    retry_at = (last_run.finished_at or now) + retry_delay(ended_count)
    return UpdatePlan(
        UpdateState.RETRYING,
        f"run {ended_count} of {retries + 1} of the scheduled evaluation failed: {failure_reason(last_run)}; "
        "the operator tries again",
        start_actions if now >= retry_at else (),
        max(retry_at, now + RUN_POLL_INTERVAL),
    )
