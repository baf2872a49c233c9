"""When a scheduled evaluation of the champion starts, and what happens when its runs fail."""

from datetime import datetime

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.plan.actions import Action, StartEvaluation
from anamnesis.operator.plan.plan_input import PlanInput
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.operator.plan.update_lifecycle import (
    RUN_POLL_INTERVAL,
    UpdatePlan,
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
    if any(not run.state.is_final for run in evaluation.runs):
        return UpdatePlan(UpdateState.RUNNING, requeue_at=now + RUN_POLL_INTERVAL)
    ended_runs = [run for run in evaluation.runs if run.state is not RunState.INTERRUPTED]
    ended_count, retries = len(ended_runs), spec.backend.retries
    start_actions: tuple[Action, ...] = (
        StartEvaluation(evaluation.name, next_attempt(evaluation.runs), evaluation.pending_due_at),
    )
    if not ended_count or evaluation.runs[-1].state is RunState.INTERRUPTED:
        return UpdatePlan(UpdateState.RUNNING, "", start_actions, now + RUN_POLL_INTERVAL)
    last_run = ended_runs[-1]
    if ended_count > retries:
        return UpdatePlan(
            UpdateState.RUN_FAILED,
            f"all {ended_count} runs of the scheduled evaluation failed, the last one: {failure_reason(last_run)}; "
            f"read the log of run {last_run.name} and fix the cause; the next evaluation is due at "
            f"{evaluation.next_due_at:%Y-%m-%d %H:%M} UTC",
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
