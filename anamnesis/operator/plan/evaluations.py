"""When to evaluate the champion again."""

from datetime import datetime

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.plan.actions import Action, StartEvaluation
from anamnesis.operator.plan.plan_input import PlanInput
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.operator.plan.update_lifecycle import (
    FIRST_RETRY_DELAY,
    MAXIMUM_RETRY_DELAY,
    RUN_POLL_INTERVAL,
    UpdatePlan,
    next_attempt,
)


def decide_evaluation(spec: ContinualModelSpec, plan_input: PlanInput, now: datetime) -> UpdatePlan | None:
    """Returns what to do for the scheduled evaluation; none where none is wanted or due.

    Only the last time that the schedule named counts: what was missed in an outage is not made up for one by one. A
    suspended model is evaluated too, since its champion is still in use.
    """
    evaluation = plan_input.evaluation
    if evaluation is None:
        return None
    if evaluation.pending_due_at is None:
        return UpdatePlan(UpdateState.WAITING, requeue_at=evaluation.next_due_at)
    if any(not run.state.is_final for run in evaluation.runs):
        return UpdatePlan(UpdateState.RUNNING, requeue_at=now + RUN_POLL_INTERVAL)
    ended_runs = [run for run in evaluation.runs if run.state is not RunState.INTERRUPTED]
    ended_count = len(ended_runs)
    start_actions: tuple[Action, ...] = (
        StartEvaluation(evaluation.name, next_attempt(evaluation.runs), evaluation.pending_due_at),
    )
    if not ended_count or evaluation.runs[-1].state is RunState.INTERRUPTED:
        return UpdatePlan(UpdateState.RUNNING, "", start_actions, now + RUN_POLL_INTERVAL)
    message = f"{ended_count} of {spec.backend.retries + 1} runs failed: {ended_runs[-1].message or 'no reason given'}"
    if ended_count > spec.backend.retries:
        return UpdatePlan(UpdateState.RUN_FAILED, message, requeue_at=evaluation.next_due_at)
    retry_at = (ended_runs[-1].finished_at or now) + min(
        FIRST_RETRY_DELAY * 2 ** (ended_count - 1), MAXIMUM_RETRY_DELAY
    )
    return UpdatePlan(
        UpdateState.RETRYING, message, start_actions if now >= retry_at else (), max(retry_at, now + RUN_POLL_INTERVAL)
    )
