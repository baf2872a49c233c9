"""What Flux, Argo CD and ``kubectl wait`` see, and what the column PROBLEM shows, in every state of every kind.

The cluster in memory applies the rules of kstatus to every status that any test of this folder writes, too.
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from builders.kstatus import CURRENT, FAILED, IN_PROGRESS, kstatus, kstatus_of_document
from fakes.hospital import APPROVAL_REQUIRED, FakeHospital, HospitalNetwork

from anamnesis.operator.api import UpdateApproval, condition_types, reasons
from anamnesis.operator.api.conditions import Condition, make_condition
from anamnesis.operator.api.problems import OUTAGE_PATIENCE, Health, Problem, Severity, judge, stalls_at
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.status import ContinualModelStatus, DeclaredResourceStatus
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.conditions.problems import find_problems
from anamnesis.operator.controllers.continualmodel.conditions.update import conditions_of_tools
from anamnesis.operator.controllers.continualmodel.state import BackendProblem, ModelState
from anamnesis.operator.controllers.updateapproval.conditions import approval_status
from anamnesis.operator.plan import (
    ApprovalState,
    PlannedApprovalStatus,
    PlannedModelStatus,
    PlannedSiteStatus,
    PlannedUpdateStatus,
    SiteState,
    UpdateState,
)
from anamnesis.records import InputError, UnreachableError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
READY = make_condition(condition_types.READY, True, reasons.CHAMPION_IN_USE, "in use")
NOT_READY = make_condition(condition_types.READY, False, reasons.NO_CHAMPION, "no version was promoted yet")
QUIET_STATES = {
    SiteState.LEARNED,
    SiteState.NEXT,
    SiteState.QUEUED,
    SiteState.UPDATING,
    SiteState.ROLLED_BACK,
    SiteState.WAITING_FOR_PATIENTS,
    SiteState.WAITING_FOR_QUIET,
    SiteState.WAITING_FOR_SCHEDULE,
}
"""Nothing is wrong, and nobody has to do anything."""
STATES_OF_THE_MODEL = {SiteState.SUSPENDED, SiteState.INVALID_SPEC, SiteState.WITHDRAWN, SiteState.UNDECIDED}
"""The model itself has the problem, which is tested below; Undecided occurs in local mode only."""
FAILED_STATES = {
    SiteState.FAILED,
    SiteState.OUTSIDE_CHANGE_PLAN,
    SiteState.SOURCE_SHRANK,
    SiteState.STEP_NOT_STARTED,
    SiteState.UNVERIFIED_PROMOTION,
}


def model_state(**fields: Any) -> ModelState:
    """A state without a problem, but with these fields."""
    healthy = {"spec_problem": "", "secret_problem": "", "backend_problem": None, "store_error": None, "sites": {}}
    model = SimpleNamespace(resource=SimpleNamespace(spec=SimpleNamespace(state=fields.pop("spec_state", "Active"))))
    registry = SimpleNamespace(history=SimpleNamespace(withdrawal=fields.pop("withdrawal", None)))
    return cast(ModelState, SimpleNamespace(**{**healthy, "model": model, "registry": registry, **fields}))


def health_of(
    state: ModelState,
    planned: PlannedModelStatus,
    status: DeclaredResourceStatus | None = None,
    now: datetime = NOW,
    conditions: tuple[Condition, ...] = (),
) -> Health:
    ready = READY if planned.champion else NOT_READY
    problems = find_problems(state, planned, conditions)
    return judge(status or ContinualModelStatus(), 1, ready=ready, problems=problems, now=now, progress="it waits")


def answer_for(health: Health, ready: Condition) -> str:
    conditions = [condition.model_dump() for condition in (ready, *health.conditions)]
    return kstatus_of_document({"metadata": {"generation": 1}, "status": {"conditions": conditions}})


def problem_column(health: Health) -> str:
    return health.conditions[1].message


@pytest.mark.parametrize("state", [state for state in SiteState if state not in STATES_OF_THE_MODEL])
@pytest.mark.parametrize("champion", ["", "sha256:1"])
def test_every_state_of_a_site_has_its_answer_and_its_problem(state: SiteState, champion: str) -> None:
    planned = PlannedModelStatus(champion, (PlannedSiteStatus("north", state, "why"),))
    health = health_of(model_state(), planned)
    if state in FAILED_STATES or (state is SiteState.REJECTED and not champion):
        expected = FAILED
    elif state is SiteState.UNREADABLE or not champion:
        expected = IN_PROGRESS
    else:
        expected = CURRENT
    assert answer_for(health, READY if champion else NOT_READY) == expected
    assert problem_column(health) == ("" if state in QUIET_STATES else "north: why")


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (model_state(spec_problem="a wrong field"), "a wrong field"),
        (model_state(secret_problem="no key"), "no key"),
        (model_state(backend_problem=BackendProblem(reasons.REFUSED, "refused")), "refused"),
        (model_state(store_error=InputError("not a store")), "not a store"),
    ],
)
def test_what_only_a_person_can_cure_is_a_failure_at_once(state: ModelState, problem: str) -> None:
    for champion in ("", "sha256:1"):
        health = health_of(state, PlannedModelStatus(champion))
        assert (answer_for(health, READY if champion else NOT_READY), problem_column(health)) == (FAILED, problem)


@pytest.mark.parametrize(
    "fields",
    [
        {"backend_problem": BackendProblem(reasons.UNREACHABLE, "away")},
        {"store_error": UnreachableError("away")},
    ],
)
def test_an_outage_is_progress_first_and_a_failure_when_it_lasts(fields: dict[str, Any]) -> None:
    planned, state = PlannedModelStatus("sha256:1"), model_state(**fields)
    first = health_of(state, planned)
    assert (answer_for(first, READY), problem_column(first)) == (IN_PROGRESS, "away")
    status = ContinualModelStatus(observedGeneration=1, conditions=first.conditions, problemTime=first.problem_time)
    assert stalls_at(status) == NOW + OUTAGE_PATIENCE
    assert (
        answer_for(health_of(state, planned, status, NOW + OUTAGE_PATIENCE - timedelta(seconds=1)), READY)
        == IN_PROGRESS
    )
    late = health_of(state, planned, status, NOW + OUTAGE_PATIENCE)
    assert (answer_for(late, READY), late.problem_time) == (FAILED, NOW)
    healthy = health_of(model_state(), planned, status)
    assert (answer_for(healthy, READY), healthy.problem_time, problem_column(healthy)) == (CURRENT, None, "")


def test_a_changed_spec_or_another_problem_has_its_own_time() -> None:
    problem = Problem(Severity.OUTAGE, reasons.UNREACHABLE, "away")
    status = ContinualModelStatus(
        observedGeneration=1,
        conditions=(make_condition(condition_types.STALLED, True, reasons.UNREACHABLE, "away"),),
        problemTime=NOW - timedelta(days=1),
    )
    assert judge(status, 1, ready=NOT_READY, problems=(problem,), now=NOW).problem_time == NOW - timedelta(days=1)
    assert judge(status, 2, ready=NOT_READY, problems=(problem,), now=NOW).problem_time == NOW
    other = Problem(Severity.OUTAGE, reasons.STORE_UNREADABLE, "away")
    assert judge(status, 1, ready=NOT_READY, problems=(other,), now=NOW).problem_time == NOW


@pytest.mark.parametrize(
    "condition_type", [condition_types.FORGETTING, condition_types.DRIFTING, condition_types.TEST_PATIENT_RETURNED]
)
def test_a_champion_that_a_person_should_look_at_is_current_with_a_problem(condition_type: str) -> None:
    condition = make_condition(condition_type, True, reasons.SCORE_FELL, "look")
    health = health_of(model_state(), PlannedModelStatus("sha256:1"), conditions=(condition,))
    assert (answer_for(health, READY), problem_column(health)) == (CURRENT, "look")


def test_an_unverified_entry_is_a_failure_also_where_every_site_is_learned() -> None:
    condition = make_condition(condition_types.UNVERIFIED_PROMOTION, True, reasons.ENTRY_UNVERIFIED, "entry 4")
    health = health_of(model_state(), PlannedModelStatus("sha256:1"), conditions=(condition,))
    assert (answer_for(health, READY), problem_column(health)) == (FAILED, "entry 4")


def test_notices_are_shown_together_and_a_failure_hides_them() -> None:
    sites = (PlannedSiteStatus("north", SiteState.AWAITING_APPROVAL, "approve"),)
    updates = {"chest-1": PlannedUpdateStatus(UpdateState.RETRYING, "run 1 of 4 failed")}
    planned = PlannedModelStatus("sha256:1", sites, updates=updates)
    assert problem_column(health_of(model_state(), planned)) == "north: approve; chest-1: run 1 of 4 failed"
    assert problem_column(health_of(model_state(spec_problem="a wrong field"), planned)) == "a wrong field"


def test_a_suspended_model_says_so_and_its_champion_is_current() -> None:
    health = health_of(model_state(spec_state="Suspended"), PlannedModelStatus("sha256:1"))
    assert answer_for(health, READY) == CURRENT
    assert "anamnesis resume" in problem_column(health)
    assert answer_for(health_of(model_state(spec_state="Suspended"), PlannedModelStatus("")), NOT_READY) == IN_PROGRESS


def test_an_evaluation_is_a_failure_when_no_further_run_starts() -> None:
    for is_given_up, expected in ((False, CURRENT), (True, FAILED)):
        planned = PlannedModelStatus("sha256:1", evaluation_problem="it failed", is_evaluation_given_up=is_given_up)
        health = health_of(model_state(), planned)
        assert (answer_for(health, READY), problem_column(health)) == (expected, "it failed")


@pytest.mark.parametrize("state", UpdateState)
def test_every_state_of_an_update_has_its_answer(state: UpdateState) -> None:
    failed = {"InvalidSpec", "Rejected", "SourceShrank", "RunFailed", "RunCancelled", "StepNotStarted"}
    expected = FAILED if state.value in failed else CURRENT if state.is_final else IN_PROGRESS
    conditions = [each.model_dump() for each in conditions_of_tools(PlannedUpdateStatus(state, "why"))]
    assert kstatus_of_document({"metadata": {"generation": 1}, "status": {"conditions": conditions}}) == expected


@pytest.mark.parametrize("state", ApprovalState)
def test_every_state_of_an_approval_has_its_answer(network: HospitalNetwork, state: ApprovalState) -> None:
    approval = FakeHospital(network, {}).create_approval("Withdraw")
    status = approval_status(approval, PlannedApprovalStatus(state, "why"), NOW)
    counts = (ApprovalState.RECORDED, ApprovalState.ALREADY_IN_EFFECT, ApprovalState.RECORDED_BEFORE)
    expected = IN_PROGRESS if state is ApprovalState.PENDING else CURRENT if state in counts else FAILED
    assert kstatus(approval.model_copy(update={"status": status})) == expected


def test_a_model_from_its_first_minute_to_its_withdrawal(network: HospitalNetwork) -> None:
    """A tool that waits for the model waits for its champion, and never again."""
    hospital = FakeHospital(network, APPROVAL_REQUIRED, ("north",))
    assert kstatus(hospital.model) == IN_PROGRESS  # no status yet
    seen_states = []

    def look(step: str) -> None:
        hospital.reconcile()
        seen_states.append((step, kstatus(hospital.model), problem_of(hospital) != ""))

    look("no data")
    network.add_data("north", "a")
    look("trains")
    hospital.finish_runs()
    look("waits for an approval")
    hospital.decide_pending()
    look("champion")
    network.add_data("north", "b")
    look("trains again")
    hospital.finish_runs()
    look("waits again")
    hospital.create_approval("Withdraw")
    look("withdrawn")
    assert seen_states == [
        ("no data", IN_PROGRESS, True),
        ("trains", IN_PROGRESS, False),
        ("waits for an approval", IN_PROGRESS, True),
        ("champion", CURRENT, False),
        ("trains again", CURRENT, False),
        ("waits again", CURRENT, True),
        ("withdrawn", FAILED, True),
    ]
    kinds = {kind.__name__: {kstatus(item) for item in hospital.cluster.list(kind, "hospital")} for kind in KINDS}
    assert kinds == {"ModelUpdate": {CURRENT}, "UpdateApproval": {CURRENT}}


KINDS = (ModelUpdate, UpdateApproval)


def problem_of(hospital: FakeHospital) -> str:
    stalled = hospital.model.status.condition(condition_types.STALLED)
    assert stalled is not None
    return stalled.message


def test_a_site_that_does_not_exist_yet_is_progress_and_its_message_names_the_cure(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {}, ("north",))
    site = hospital.cluster.get(Site, "hospital", "north")
    assert site is not None
    hospital.cluster.delete(site)
    wait = hospital.reconcile()
    assert kstatus(hospital.model) == IN_PROGRESS
    assert wait is not None
    assert "create it, or remove it from spec.sites" in problem_of(hospital)
    network.now += wait
    hospital.reconcile()
    assert kstatus(hospital.model) == FAILED


def test_a_renamed_site_is_recognised_by_its_store(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, {}, ("north",))
    network.add_data("north", "a")
    hospital.run_update()
    site = hospital.cluster.get(Site, "hospital", "north")
    assert site is not None
    hospital.cluster.delete(site)
    hospital.reconcile()
    assert "or remove it from spec.sites" in problem_of(hospital)
    renamed = site.metadata.model_copy(update={"name": "nord", "uid": "", "resource_version": ""})
    hospital.cluster.create(site.model_copy(update={"metadata": renamed}))
    hospital.reconcile()
    assert "Site nord has the same store: was it renamed?" in problem_of(hospital)
