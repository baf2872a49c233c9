"""What to do with one update that exists: claim, run, run again, settle, or let be."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.plan.actions import Action, CancelRun, ClaimUpdate, RecordDecision, StartRun
from anamnesis.operator.plan.plan_input import ObservedUpdate, PlanInput
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.records import UpdateResultKind, Verdict

CLAIM_DURATION = timedelta(hours=6)
"""How long a claim holds. It is renewed when half of it is over, so a longer run keeps it; who dies, loses it then."""
RUN_POLL_INTERVAL = timedelta(seconds=10)
"""How often a run is looked at."""
FIRST_RETRY_DELAY, MAXIMUM_RETRY_DELAY = timedelta(seconds=30), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Where an update stands, and what to do for it.

    Attributes:
        state: see ``UpdateState``.
        message: for people.
        actions: in this order.
        requeue_at: when to look again, or none.
    """

    state: UpdateState
    message: str = ""
    actions: tuple[Action, ...] = ()
    requeue_at: datetime | None = None


def decide_update(spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput, now: datetime) -> UpdatePlan:
    """Returns where ``update`` stands and what to do for it. What its run found comes before what its run does."""
    if update.result_kind is UpdateResultKind.NO_CHANGE:
        return UpdatePlan(UpdateState.NO_CHANGE, "the champion has learned these very samples")
    if update.result_kind is UpdateResultKind.TOO_FEW_PATIENTS and update.result:
        new_patients, minimum_patients = update.result.new_patients, update.result.trigger.minimum_patients
        return UpdatePlan(UpdateState.TOO_FEW_PATIENTS, f"{new_patients} of {minimum_patients} new patients")
    if update.candidate:
        return _decide_candidate(spec, update, plan_input)
    if update.base != plan_input.champion:
        cancel_actions = tuple(CancelRun(run.name) for run in update.runs if not run.state.is_final)
        return UpdatePlan(UpdateState.SUPERSEDED, "another version became champion before it ended", cancel_actions)
    if update.claim and not update.claim.held_by_this_operator and update.claim.deadline > now:
        return UpdatePlan(
            UpdateState.CLAIMED_ELSEWHERE, "another operator works on it", requeue_at=update.claim.deadline
        )
    return _decide_run(spec, update, now)


def _decide_candidate(spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput) -> UpdatePlan:
    """The run gave a version: what the log and the gate say of it."""
    candidate, record_actions = update.candidate, (RecordDecision(update.name),)
    assert candidate is not None
    if update.is_promoted:
        return UpdatePlan(UpdateState.PROMOTED, candidate.reason)
    if candidate.is_rolled_back:
        return UpdatePlan(UpdateState.ROLLED_BACK, candidate.reason)
    if candidate.is_rejected:
        return UpdatePlan(UpdateState.REJECTED, candidate.reason)
    if update.base != plan_input.champion:
        return UpdatePlan(UpdateState.SUPERSEDED, candidate.reason, () if update.is_superseded else record_actions)
    if spec.state == "Suspended":
        return UpdatePlan(UpdateState.SUSPENDED, "nothing is decided while the model is suspended")
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS:
        return UpdatePlan(UpdateState.AWAITING_EVALUATIONS, candidate.reason)
    if candidate.verdict is Verdict.AWAIT_APPROVAL and spec.gate.enforcement == "Enforced":
        return UpdatePlan(UpdateState.AWAITING_APPROVAL, candidate.reason)
    return UpdatePlan(UpdateState.RECORDING_DECISION, candidate.reason, record_actions)


def _decide_run(spec: ContinualModelSpec, update: ObservedUpdate, now: datetime) -> UpdatePlan:
    """Nothing was found yet: a live run goes on, else the last one decides.

    Runs that began before the resource was made (again) are not held against it, nor are those that an end of their
    back end interrupted: these go on at once.
    """
    live_runs = [run for run in update.runs if not run.state.is_final]
    if live_runs:
        return _continue_run(spec, update, live_runs, now)
    if spec.state == "Suspended":
        return UpdatePlan(UpdateState.SUSPENDED, "no run begins while the model is suspended")
    ended_runs = [
        run for run in update.runs if run.created_at >= update.created_at and run.state is not RunState.INTERRUPTED
    ]
    if not ended_runs or update.runs[-1].state is RunState.INTERRUPTED:
        return UpdatePlan(UpdateState.WAITING, "its run begins", _start_actions(update, now), now + RUN_POLL_INTERVAL)
    last_run = ended_runs[-1]
    if last_run.state is RunState.CANCELLED and not _is_overdue(spec, last_run, last_run.finished_at or now):
        return UpdatePlan(UpdateState.RUN_CANCELLED, "its run was cancelled; ask for an update to try again")
    if len(ended_runs) > spec.backend.retries:
        return UpdatePlan(
            UpdateState.RUN_FAILED, f"{len(ended_runs)} runs failed, the last: {_failure_reason(last_run)}"
        )
    retry_at = (last_run.finished_at or now) + min(FIRST_RETRY_DELAY * 2 ** (len(ended_runs) - 1), MAXIMUM_RETRY_DELAY)
    message = f"run {len(ended_runs)} of {spec.backend.retries + 1} failed: {_failure_reason(last_run)}"
    if now < retry_at:
        return UpdatePlan(UpdateState.RETRYING, message, requeue_at=retry_at)
    return UpdatePlan(UpdateState.RETRYING, message, _start_actions(update, now), now + RUN_POLL_INTERVAL)


def _continue_run(spec: ContinualModelSpec, update: ObservedUpdate, live_runs: list[Run], now: datetime) -> UpdatePlan:
    run, *duplicate_runs = live_runs  # several can only come from a back end that lost sight of one: the oldest goes on
    actions: list[Action] = [
        *_claim_actions(update, now),
        *(CancelRun(duplicate_run.name) for duplicate_run in duplicate_runs),
    ]
    if _is_overdue(spec, run, now):
        actions.append(CancelRun(run.name))
    return UpdatePlan(
        UpdateState.RUNNING, f"run {run.name} is {run.state.value.lower()}", tuple(actions), now + RUN_POLL_INTERVAL
    )


def next_attempt(runs: tuple[Run, ...]) -> int:
    """Returns the number that no run has borne yet, also where a back end has forgotten some of them."""
    return int(runs[-1].name.rpartition("-")[2]) + 1 if runs else 1


def _start_actions(update: ObservedUpdate, now: datetime) -> tuple[Action, ...]:
    return (*_claim_actions(update, now), StartRun(update.name, next_attempt(update.runs)))


def _claim_actions(update: ObservedUpdate, now: datetime) -> tuple[Action, ...]:
    claim = update.claim
    is_claim_fresh = claim is not None and claim.held_by_this_operator and claim.deadline - now > CLAIM_DURATION / 2
    return () if is_claim_fresh else (ClaimUpdate(update.name, now + CLAIM_DURATION),)


def _is_overdue(spec: ContinualModelSpec, run: Run, time: datetime) -> bool:
    return time - run.created_at >= parse_duration(spec.backend.run_deadline)


def _failure_reason(run: Run) -> str:
    if run.state is RunState.SUCCEEDED:
        return "it ended without telling what it found"
    return run.message or ("it took too long" if run.state is RunState.CANCELLED else "no reason given")
