"""When to evaluate the champion again."""

from datetime import datetime

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.plan.actions import Action, StartEvaluation
from anamnesis.operator.plan.plan_input import Observed
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.operator.plan.update_lifecycle import FIRST_RETRY, LAST_RETRY, POLL, Followed, next_attempt


def evaluate(spec: ContinualModelSpec, observed: Observed, now: datetime) -> Followed | None:
    """Returns what to do for the scheduled evaluation; none where none is wanted or due.

    Only the last time that the schedule named counts: what was missed in an outage is not made up for one by one. A
    suspended model is evaluated too, since its champion is still in use.
    """
    wanted = observed.evaluation
    if wanted is None:
        return None
    if wanted.pending is None:
        return Followed(UpdateState.WAITING, again=wanted.next)
    if any(not run.state.final for run in wanted.runs):
        return Followed(UpdateState.RUNNING, again=now + POLL)
    ended = [run for run in wanted.runs if run.state is not RunState.INTERRUPTED]
    done = len(ended)
    start: tuple[Action, ...] = (StartEvaluation(wanted.name, next_attempt(wanted.runs), wanted.pending),)
    if not done or wanted.runs[-1].state is RunState.INTERRUPTED:
        return Followed(UpdateState.RUNNING, "", start, now + POLL)
    message = f"{done} of {spec.backend.retries + 1} runs failed: {ended[-1].message or 'no reason given'}"
    if done > spec.backend.retries:
        return Followed(UpdateState.RUN_FAILED, message, again=wanted.next)
    retry = (ended[-1].finished or now) + min(FIRST_RETRY * 2 ** (done - 1), LAST_RETRY)
    return Followed(UpdateState.RETRYING, message, start if now >= retry else (), max(retry, now + POLL))
