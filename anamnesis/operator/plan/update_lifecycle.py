"""What to do with one update that exists: claim, run, run again, settle, or let be."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from anamnesis.operator.api.durations import duration
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.plan.actions import Action, CancelRun, ClaimUpdate, Settle, StartRun
from anamnesis.operator.plan.plan_input import Observed, ObservedUpdate
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.records import OutcomeKind, Verdict

CLAIM = timedelta(hours=6)
"""How long a claim holds. It is renewed when half of it is over, so a longer run keeps it; who dies, loses it then."""
POLL = timedelta(seconds=10)
"""How often a run is looked at."""
FIRST_RETRY, LAST_RETRY = timedelta(seconds=30), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Followed:
    """Where an update stands, and what to do for it.

    Attributes:
        state: see ``UpdateState``.
        message: for people.
        actions: in this order.
        again: when to look again, or none.
    """

    state: UpdateState
    message: str = ""
    actions: tuple[Action, ...] = ()
    again: datetime | None = None


def follow(spec: ContinualModelSpec, update: ObservedUpdate, observed: Observed, now: datetime) -> Followed:
    """Returns where ``update`` stands and what to do for it. What its run found comes before what its run does."""
    if update.kind is OutcomeKind.NO_CHANGE:
        return Followed(UpdateState.NO_CHANGE, "the champion has learned these very samples")
    if update.kind is OutcomeKind.TOO_FEW_PATIENTS and update.outcome:
        found, wanted = update.outcome.new_patients, update.outcome.occasion.minimum_patients
        return Followed(UpdateState.TOO_FEW_PATIENTS, f"{found} of {wanted} new patients")
    if update.candidate:
        return _judged(spec, update, observed)
    if update.base != observed.champion:
        live = tuple(CancelRun(run.name) for run in update.runs if not run.state.final)
        return Followed(UpdateState.SUPERSEDED, "another version became champion before it ended", live)
    if update.claim and not update.claim.ours and update.claim.deadline > now:
        return Followed(UpdateState.CLAIMED_ELSEWHERE, "another operator works on it", again=update.claim.deadline)
    return _run(spec, update, now)


def _judged(spec: ContinualModelSpec, update: ObservedUpdate, observed: Observed) -> Followed:
    """The run gave a version: what the log and the gate say of it."""
    candidate, settle = update.candidate, (Settle(update.name),)
    assert candidate is not None
    if update.promoted:
        return Followed(UpdateState.PROMOTED, candidate.reason)
    if candidate.rolled_back:
        return Followed(UpdateState.ROLLED_BACK, candidate.reason)
    if candidate.rejected:
        return Followed(UpdateState.REJECTED, candidate.reason)
    if update.base != observed.champion:
        return Followed(UpdateState.SUPERSEDED, candidate.reason, () if update.superseded else settle)
    if spec.state == "Suspended":
        return Followed(UpdateState.SUSPENDED, "nothing is decided while the model is suspended")
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS:
        return Followed(UpdateState.AWAITING_EVALUATIONS, candidate.reason)
    if candidate.verdict is Verdict.AWAIT_APPROVAL and spec.gate.enforcement == "Enforced":
        return Followed(UpdateState.AWAITING_APPROVAL, candidate.reason)
    return Followed(UpdateState.SETTLING, candidate.reason, settle)


def _run(spec: ContinualModelSpec, update: ObservedUpdate, now: datetime) -> Followed:
    """Nothing was found yet: a live run goes on, else the last one decides.

    Runs that began before the resource was made (again) are not held against it, nor are those that an end of their
    back end interrupted: these go on at once.
    """
    live = [run for run in update.runs if not run.state.final]
    if live:
        return _running(spec, update, live, now)
    if spec.state == "Suspended":
        return Followed(UpdateState.SUSPENDED, "no run begins while the model is suspended")
    ended = [run for run in update.runs if run.created >= update.created and run.state is not RunState.INTERRUPTED]
    if not ended or update.runs[-1].state is RunState.INTERRUPTED:
        return Followed(UpdateState.WAITING, "its run begins", _start(update, now), now + POLL)
    last = ended[-1]
    if last.state is RunState.CANCELLED and not _overdue(spec, last, last.finished or now):
        return Followed(UpdateState.RUN_CANCELLED, "its run was cancelled; ask for an update to try again")
    if len(ended) > spec.backend.retries:
        return Followed(UpdateState.RUN_FAILED, f"{len(ended)} runs failed, the last: {_why(last)}")
    retry = (last.finished or now) + min(FIRST_RETRY * 2 ** (len(ended) - 1), LAST_RETRY)
    message = f"run {len(ended)} of {spec.backend.retries + 1} failed: {_why(last)}"
    if now < retry:
        return Followed(UpdateState.RETRYING, message, again=retry)
    return Followed(UpdateState.RETRYING, message, _start(update, now), now + POLL)


def _running(spec: ContinualModelSpec, update: ObservedUpdate, live: list[Run], now: datetime) -> Followed:
    run, *others = live  # several can only come from a back end that lost sight of one: the oldest goes on
    actions: list[Action] = [*_claimed(update, now), *(CancelRun(one.name) for one in others)]
    if _overdue(spec, run, now):
        actions.append(CancelRun(run.name))
    return Followed(UpdateState.RUNNING, f"run {run.name} is {run.state.value.lower()}", tuple(actions), now + POLL)


def next_attempt(runs: tuple[Run, ...]) -> int:
    """Returns the number that no run has borne yet, also where a back end has forgotten some of them."""
    return int(runs[-1].name.rpartition("-")[2]) + 1 if runs else 1


def _start(update: ObservedUpdate, now: datetime) -> tuple[Action, ...]:
    return (*_claimed(update, now), StartRun(update.name, next_attempt(update.runs)))


def _claimed(update: ObservedUpdate, now: datetime) -> tuple[Action, ...]:
    claim = update.claim
    held = claim is not None and claim.ours and claim.deadline - now > CLAIM / 2
    return () if held else (ClaimUpdate(update.name, now + CLAIM),)


def _overdue(spec: ContinualModelSpec, run: Run, at: datetime) -> bool:
    return at - run.created >= duration(spec.backend.deadline)


def _why(run: Run) -> str:
    if run.state is RunState.SUCCEEDED:
        return "it ended without telling what it found"
    return run.message or ("it took too long" if run.state is RunState.CANCELLED else "no reason given")
