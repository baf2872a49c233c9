"""The state and the next actions of one ModelUpdate: claim, run, retry, record the decision.

State diagram; ``state_meanings`` explains each state::

    Waiting -> Running -> (a version) -> RecordingDecision -> Promoted | Rejected
       ^          |            |
       |          |            +-> AwaitingEvaluations, AwaitingApproval (then RecordingDecision)
       |          +-> Retrying -> Running, or RunFailed
       |          +-> NoChange, TooFewPatients, SourceShrank, RunCancelled
       +- ClaimedElsewhere, Suspended, InvalidSpec, BackendUnreachable (while the cause lasts)
       Running <-> StepNotStarted (while a pod waits too long)
    any state -> Superseded (another champion, or none after a withdrawal);   Promoted -> RolledBack (a person)
    Waiting, Retrying, Suspended, InvalidSpec -> Superseded (the data or the settings have changed)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import QUEUED, CancelCause, Run, RunState
from anamnesis.operator.plan.actions import Action, CancelRun, ClaimUpdate, DeleteUpdate, RecordDecision, StartRun
from anamnesis.operator.plan.plan_input import Candidate, ObservedUpdate, PlanInput
from anamnesis.operator.plan.planned_status import UpdateState
from anamnesis.operator.plan.run_judgement import is_counted, is_overdue, judge_runs
from anamnesis.records import UpdateResultKind, Verdict
from anamnesis.registry.gate import MISSING_EVALUATIONS

CLAIM_DURATION = timedelta(hours=6)
"""How long a claim is valid. A live run renews it after half of this time; the claim of a dead operator expires."""
RUN_POLL_INTERVAL = timedelta(seconds=10)
"""How often the operator polls a run."""
FIRST_RETRY_DELAY, MAXIMUM_RETRY_DELAY = timedelta(seconds=30), timedelta(hours=1)
WAIT_GRACE = timedelta(seconds=30)
"""A pod that waits for less time than this is mentioned nowhere."""
_CANCEL_REASONS: Mapping[CancelCause | None, str] = {
    CancelCause.DEADLINE: "it took longer than spec.backend.runDeadline, and counts as failed",
    CancelCause.OUTDATED: "its image or pod settings have changed before a step started; another run replaces it",
    CancelCause.NOT_NEEDED: "another run of the same update continues",
    None: "somebody cancelled it",
}


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """The state of an update, and what to do for it.

    Attributes:
        state: see ``UpdateState``.
        message: for people.
        actions: in this order.
        requeue_at: when to plan again, or none.
        run: the last run, as it was judged, or none.
    """

    state: UpdateState
    message: str = ""
    actions: tuple[Action, ...] = ()
    requeue_at: datetime | None = None
    run: Run | None = None


def decide_update(spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput, now: datetime) -> UpdatePlan:
    """Returns the state of an update and what to do for it. The result of a run counts more than the run's state."""
    update = replace(update, runs=judge_runs(spec, update.runs, update.recorded_run, now))
    plan = _decide_judged_update(spec, update, plan_input, now)
    return replace(plan, run=update.runs[-1] if update.runs else None)


def _decide_judged_update(
    spec: ContinualModelSpec, update: ObservedUpdate, plan_input: PlanInput, now: datetime
) -> UpdatePlan:
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
        cancel_actions = tuple(
            CancelRun(run.name, CancelCause.NOT_NEEDED) for run in update.runs if _may_be_cancelled(run)
        )
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
        return _decide_without_backend(update, plan_input)
    return _decide_run(spec, update, plan_input, now)


def _decide_without_backend(update: ObservedUpdate, plan_input: PlanInput) -> UpdatePlan:
    """The runs are not known: an update that has failed stays so, every other one waits."""
    last_status = update.last_status
    if last_status and last_status.state in (UpdateState.RUN_FAILED, UpdateState.RUN_CANCELLED):
        return UpdatePlan(last_status.state, last_status.message)
    if plan_input.is_backend_refusing:
        return UpdatePlan(
            UpdateState.INVALID_SPEC,
            f"no run starts or is seen until this is corrected: {plan_input.backend_problem}",
        )
    return UpdatePlan(
        UpdateState.BACKEND_UNREACHABLE,
        "the back end is not usable, so the run of this update can be neither seen nor started; "
        f"the operator tries again by itself: {plan_input.backend_problem}",
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

    Three kinds of runs do not count as failures: those that began before the resource was created (again), those that
    their back end interrupted, and those that the operator replaced. After the latter two the next run starts at once.
    """
    live_runs = [run for run in update.runs if not run.state.is_final]
    if live_runs:
        return _continue_run(spec, update, live_runs, now)
    ended_runs = [run for run in update.runs if run.created_at >= update.created_at and is_counted(run)]
    if ended_runs and is_counted(update.runs[-1]) and (plan := _decide_final_failure(spec, update, ended_runs)):
        return plan
    if not update.is_current:
        return UpdatePlan(
            UpdateState.SUPERSEDED,
            "the data of the site or the settings of the model changed before a run of this update ended well; "
            "a new update learns with them",
        )
    if ended_runs and not update.is_request_current:
        return UpdatePlan(
            UpdateState.SUPERSEDED,
            "the model or its Site was changed after a run failed; the same update starts again with the change",
            (DeleteUpdate(update.name),),
        )
    if spec.state == "Suspended":
        return UpdatePlan(
            UpdateState.SUSPENDED,
            "spec.state of the model is Suspended, so no run starts; "
            "to continue, run: anamnesis resume -n NAMESPACE MODEL",
        )
    if problem := plan_input.spec_problem or plan_input.secret_problem:
        return UpdatePlan(UpdateState.INVALID_SPEC, f"no run starts until the model is corrected: {problem}")
    if not ended_runs or not is_counted(update.runs[-1]):
        return UpdatePlan(
            UpdateState.WAITING,
            "the operator submits the run to the back end",
            _start_actions(update, now),
            now + RUN_POLL_INTERVAL,
        )
    last_run, retries = ended_runs[-1], spec.backend.retries
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


def _decide_final_failure(spec: ContinualModelSpec, update: ObservedUpdate, ended_runs: list[Run]) -> UpdatePlan | None:
    """The update has failed for good: a person ended its run, or another run would fail as well; none where one may."""
    last_run = ended_runs[-1]
    command = f"anamnesis update -n NAMESPACE MODEL --site {update.site}"
    if last_run.state is RunState.CANCELLED:
        return UpdatePlan(
            UpdateState.RUN_CANCELLED, f"somebody cancelled run {last_run.name}; to try again, run: {command}"
        )
    if last_run.is_permanent:
        return UpdatePlan(
            UpdateState.RUN_FAILED,
            f"run {last_run.name} failed, and another run would fail as well: {failure_reason(last_run)}; "
            f"fix the cause, then run: {command}",
        )
    if len(ended_runs) > spec.backend.retries:
        return UpdatePlan(
            UpdateState.RUN_FAILED,
            f"all {len(ended_runs)} runs failed, the last one: {failure_reason(last_run)}; read the log of run "
            f"{last_run.name}, fix the cause, then run: {command}",
        )
    return None


def _continue_run(spec: ContinualModelSpec, update: ObservedUpdate, live_runs: list[Run], now: datetime) -> UpdatePlan:
    # a back end that lost sight of a run may have several: the oldest continues
    run = next((live_run for live_run in live_runs if _may_be_cancelled(live_run)), live_runs[0])
    duplicate_runs = [live_run for live_run in live_runs if live_run is not run and _may_be_cancelled(live_run)]
    state, message, end_actions = describe_live_run(spec, run, now)
    actions = (
        *_claim_actions(update, now),
        *(CancelRun(duplicate_run.name, CancelCause.NOT_NEEDED) for duplicate_run in duplicate_runs),
        *end_actions,
    )
    return UpdatePlan(state, message, actions, now + RUN_POLL_INTERVAL)


def describe_live_run(
    spec: ContinualModelSpec, run: Run, now: datetime
) -> tuple[UpdateState, str, tuple[CancelRun, ...]]:
    """Returns the state of a run that has not ended, in words too, and its end where the operator ends it."""
    if run.state is RunState.CANCELLING:
        return UpdateState.RUNNING, f"run {run.name} is being ended: {_CANCEL_REASONS[run.cancel_cause]}", ()
    if is_overdue(spec, run, now):
        cause = CancelCause.DEADLINE
        return UpdateState.RUNNING, f"run {run.name}: {_CANCEL_REASONS[cause]}", (CancelRun(run.name, cause),)
    if run.waiting_since and run.is_outdated:
        cause = CancelCause.OUTDATED
        return UpdateState.RUNNING, f"run {run.name}: {_CANCEL_REASONS[cause]}", (CancelRun(run.name, cause),)
    running_message = f"run {run.name} is {run.state.value.lower()}"
    if not run.waiting_since or now - run.waiting_since < WAIT_GRACE:
        return UpdateState.RUNNING, running_message, ()
    step = f"step {run.waiting_step}" if run.waiting_step else "its first step"
    reason = f" ({run.waiting_reason})" if run.waiting_reason else ""
    waits = f"{step} has waited for its pod since {run.waiting_since:%Y-%m-%d %H:%M} UTC{reason}"
    is_late = now - run.waiting_since >= parse_duration(spec.backend.start_deadline)
    is_fault_known = run.waiting_reason and QUEUED not in run.waiting_reason
    if not is_late and not is_fault_known:
        return UpdateState.RUNNING, f"{running_message}; {waits}", ()
    late = f", longer than spec.backend.startDeadline ({spec.backend.start_deadline})" if is_late else ""
    return (
        UpdateState.STEP_NOT_STARTED,
        f"run {run.name}: {waits}{late}; "
        f"to see why, run: kubectl describe pods,workflows.argoproj.io -A -l pipeline/runid={run.id}",
        (),
    )


def _may_be_cancelled(run: Run) -> bool:
    return not run.state.is_final and run.state is not RunState.CANCELLING


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


def failure_reason(run: Run) -> str:
    """Returns why a run that ended counts as failed."""
    if run.state is RunState.SUCCEEDED:
        return "the run ended without a result"
    return run.message or "the back end gave no reason"
