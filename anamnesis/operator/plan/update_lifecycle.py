"""The state and the next actions of one ModelUpdate: claim, run, retry, record the decision.

State diagram; ``state_meanings`` explains each state::

    Waiting -> Running -> (a version) -> RecordingDecision -> Promoted | Rejected
       ^          |            |
       |          |            +-> AwaitingEvaluations, AwaitingApproval (then RecordingDecision)
       |          +-> Retrying -> Running, or RunFailed
       |          +-> NoChange, TooFewPatients, SourceShrank, RunCancelled
       +- ClaimedElsewhere, Suspended, InvalidSpec, BackendUnreachable (while the cause lasts)
    any state -> Superseded (another champion, or none after a withdrawal);   Promoted -> RolledBack (a person)
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.plan.actions import Action, CancelRun, ClaimUpdate, RecordDecision, StartRun
from anamnesis.operator.plan.plan_input import Candidate, ObservedUpdate, PlanInput
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.records import UpdateResultKind, Verdict
from anamnesis.registry.gate import MISSING_EVALUATIONS

CLAIM_DURATION = timedelta(hours=6)
"""How long a claim is valid. A live run renews it after half of this time; the claim of a dead operator expires."""
RUN_POLL_INTERVAL = timedelta(seconds=10)
"""How often the operator polls a run."""
FIRST_RETRY_DELAY, MAXIMUM_RETRY_DELAY = timedelta(seconds=30), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """The state of an update, and what to do for it.

    Attributes:
        state: see ``UpdateState``.
        message: for people.
        actions: in this order.
        requeue_at: when to plan again, or none.
    """

    state: UpdateState
    message: str = ""
    actions: tuple[Action, ...] = ()
    requeue_at: datetime | None = None


def decide_update(spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput, now: datetime) -> UpdatePlan:
    """Returns the state of an update and what to do for it. The result of a run counts more than the run's state."""
    if update.result_kind is UpdateResultKind.NO_CHANGE:
        return UpdatePlan(UpdateState.NO_CHANGE, "the champion has already learned these samples")
    if update.result_kind is UpdateResultKind.TOO_FEW_PATIENTS and update.result:
        new_patients, minimum_patients = update.result.new_patients, update.result.trigger.minimum_patients
        return UpdatePlan(
            UpdateState.TOO_FEW_PATIENTS,
            f"the source has {new_patients} of the {minimum_patients} new patients that an update needs "
            f"(spec.trigger.minimumNewPatients){held_back_clause(update)}; "
            "more data starts another update",
        )
    if update.result_kind is UpdateResultKind.SOURCE_SHRANK and update.result:
        return UpdatePlan(UpdateState.SOURCE_SHRANK, update.result.hold)
    if update.candidate:
        plan = _decide_candidate(spec, update, plan_input)
        return replace(plan, message=plan.message + held_back_clause(update))
    if plan_input.withdrawal or update.base != plan_input.champion:
        cancel_actions = tuple(CancelRun(run.name) for run in update.runs if not run.state.is_final)
        return UpdatePlan(
            UpdateState.SUPERSEDED,
            plan_input.withdrawal
            or "another version became champion before this update ended; "
            "a new update starts from that champion and learns the same data",
            cancel_actions,
        )
    if update.claim and not update.claim.held_by_this_operator and update.claim.deadline > now:
        return UpdatePlan(
            UpdateState.CLAIMED_ELSEWHERE,
            "another operator that shares the registry runs this update, "
            f"at most until {update.claim.deadline:%Y-%m-%d %H:%M} UTC; wait for it",
            requeue_at=update.claim.deadline,
        )
    if plan_input.backend_problem:
        return _decide_without_backend(update, plan_input.backend_problem)
    return _decide_run(spec, update, plan_input, now)


def _decide_without_backend(update: ObservedUpdate, backend_problem: str) -> UpdatePlan:
    """The runs are not known: an update that has failed stays so, every other one waits."""
    last_status = update.last_status
    if last_status and last_status.state in (UpdateState.RUN_FAILED, UpdateState.RUN_CANCELLED):
        return UpdatePlan(last_status.state, last_status.message)
    return UpdatePlan(
        UpdateState.BACKEND_UNREACHABLE,
        "the back end is not usable, so the run of this update can be neither seen nor started; "
        f"the operator tries again by itself: {backend_problem}",
    )


def held_back_clause(update: ObservedUpdate) -> str:
    """Returns in words how many patients an update holds back, to be added to a message; empty for none."""
    if not update.result or not update.result.held_back.patients:
        return ""
    held_back = update.result.held_back
    return (
        f"; {held_back.patients} patients of {held_back.classes} classes are held back until the patients of a class "
        "differ enough from those of earlier versions (spec.changePlan.minimumPatients)"
    )


def _decide_candidate(spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput) -> UpdatePlan:
    """The run gave a version: the log and the gate decide."""
    candidate, record_actions = update.candidate, (RecordDecision(update.name),)
    assert candidate is not None
    if update.is_promoted:
        return UpdatePlan(UpdateState.PROMOTED, f"version {candidate.version[:19]} became champion: {candidate.reason}")
    if candidate.is_rolled_back:
        return UpdatePlan(
            UpdateState.ROLLED_BACK, f"version {candidate.version[:19]} is not in use any more: {candidate.reason}"
        )
    if candidate.is_rejected:
        return UpdatePlan(
            UpdateState.REJECTED,
            f"version {candidate.version[:19]}: {candidate.reason}; "
            "new data or a changed configuration starts another update",
        )
    if plan_input.withdrawal or update.base != plan_input.champion or candidate.verdict is Verdict.SUPERSEDED:
        next_step = plan_input.withdrawal or "a new update starts from the champion and learns the same data"
        return UpdatePlan(
            UpdateState.SUPERSEDED,
            f"version {candidate.version[:19]}: {next_step}"
            if plan_input.withdrawal
            else f"version {candidate.version[:19]}: {candidate.reason}; {next_step}",
            () if update.is_superseded else record_actions,
        )
    if spec.state == "Suspended":
        return UpdatePlan(
            UpdateState.SUSPENDED,
            "spec.state of the model is Suspended, so the gate does not decide; "
            "to continue, run: anamnesis resume -n NAMESPACE MODEL",
        )
    if plan_input.spec_problem:
        return UpdatePlan(
            UpdateState.INVALID_SPEC,
            f"the gate does not decide until the model is corrected: {plan_input.spec_problem}",
        )
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS:
        return UpdatePlan(
            UpdateState.AWAITING_EVALUATIONS,
            f"version {candidate.version[:19]}: {candidate.reason}{missing_evaluation_hint(candidate)}",
        )
    if candidate.verdict is Verdict.AWAIT_APPROVAL and spec.gate.enforcement == "Enforced":
        return UpdatePlan(
            UpdateState.AWAITING_APPROVAL,
            f"version {candidate.version[:19]}: {candidate.reason}; run: anamnesis approve "
            f"-n NAMESPACE MODEL {candidate.version[:19]} --reason TEXT; or the same with reject",
        )
    return UpdatePlan(
        UpdateState.RECORDING_DECISION,
        f"the operator writes the decision of the gate to the registry's log: {candidate.reason}",
        record_actions,
    )


def missing_evaluation_hint(candidate: Candidate) -> str:
    """Returns the command that adds a missing evaluation; empty where the candidate waits for something else."""
    if not candidate.reason.startswith(MISSING_EVALUATIONS):
        return ""
    return f"; to add the missing evaluation, run: anamnesis evaluate -f FILE --version {candidate.version[:19]}"


def _decide_run(spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput, now: datetime) -> UpdatePlan:
    """No result yet: a live run continues, else the last run decides.

    Two kinds of runs do not count as failures: those that began before the resource was created (again), and those
    that their back end interrupted. The latter continue at once.
    """
    live_runs = [run for run in update.runs if not run.state.is_final]
    if live_runs:
        return _continue_run(spec, update, live_runs, now)
    if spec.state == "Suspended":
        return UpdatePlan(
            UpdateState.SUSPENDED,
            "spec.state of the model is Suspended, so no run starts; "
            "to continue, run: anamnesis resume -n NAMESPACE MODEL",
        )
    if problem := plan_input.spec_problem or plan_input.secret_problem:
        return UpdatePlan(UpdateState.INVALID_SPEC, f"no run starts until the model is corrected: {problem}")
    ended_runs = [
        run for run in update.runs if run.created_at >= update.created_at and run.state is not RunState.INTERRUPTED
    ]
    if not ended_runs or update.runs[-1].state is RunState.INTERRUPTED:
        return UpdatePlan(
            UpdateState.WAITING,
            "the operator submits the run to the back end",
            _start_actions(update, now),
            now + RUN_POLL_INTERVAL,
        )
    last_run, retries = ended_runs[-1], spec.backend.retries
    if last_run.state is RunState.CANCELLED and not _is_overdue(spec, last_run, last_run.finished_at or now):
        return UpdatePlan(
            UpdateState.RUN_CANCELLED,
            f"somebody cancelled run {last_run.name}; to try again, run: "
            f"anamnesis update -n NAMESPACE MODEL --site {update.site}",
        )
    if len(ended_runs) > retries:
        return UpdatePlan(
            UpdateState.RUN_FAILED,
            f"all {len(ended_runs)} runs failed, the last one: {failure_reason(last_run)}; read the log of run "
            f"{last_run.name}, fix the cause, then run: anamnesis update -n NAMESPACE MODEL --site {update.site}",
        )
    retry_at = (last_run.finished_at or now) + retry_delay(len(ended_runs))
    if now < retry_at:
        return UpdatePlan(
            UpdateState.RETRYING,
            f"run {len(ended_runs)} of {retries + 1} failed: {failure_reason(last_run)}; "
            f"the next run starts at {retry_at:%H:%M:%S} UTC",
            requeue_at=retry_at,
        )
    return UpdatePlan(
        UpdateState.RETRYING,
        f"run {len(ended_runs)} of {retries + 1} failed: {failure_reason(last_run)}; the next run starts now",
        _start_actions(update, now),
        now + RUN_POLL_INTERVAL,
    )


def _continue_run(spec: ContinualModelSpec, update: ObservedUpdate, live_runs: list[Run], now: datetime) -> UpdatePlan:
    run, *duplicate_runs = live_runs  # a back end that lost sight of a run may have several: the oldest continues
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
    """Returns the next unused number of a run, also where a back end has forgotten some of the runs."""
    return int(runs[-1].name.rpartition("-")[2]) + 1 if runs else 1


def retry_delay(ended_count: int) -> timedelta:
    """Returns how long the next run waits after so many failed runs."""
    delay: timedelta = min(FIRST_RETRY_DELAY * 2 ** (ended_count - 1), MAXIMUM_RETRY_DELAY)
    return delay


def _start_actions(update: ObservedUpdate, now: datetime) -> tuple[Action, ...]:
    return (*_claim_actions(update, now), StartRun(update.name, next_attempt(update.runs)))


def _claim_actions(update: ObservedUpdate, now: datetime) -> tuple[Action, ...]:
    claim = update.claim
    is_claim_fresh = claim is not None and claim.held_by_this_operator and claim.deadline - now > CLAIM_DURATION / 2
    return () if is_claim_fresh else (ClaimUpdate(update.name, now + CLAIM_DURATION),)


def _is_overdue(spec: ContinualModelSpec, run: Run, time: datetime) -> bool:
    return time - run.created_at >= parse_duration(spec.backend.run_deadline)


def failure_reason(run: Run) -> str:
    """Returns why a run that ended counts as failed."""
    if run.state is RunState.SUCCEEDED:
        return "the run ended without a result"
    if run.state is RunState.CANCELLED:
        return run.message or "the run took longer than spec.backend.runDeadline"
    return run.message or "the back end gave no reason"
