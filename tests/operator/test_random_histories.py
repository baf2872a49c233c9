"""Random histories of events, kills and clock jumps: no update is lost or repeated; the gate decides every champion."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count

import pytest
from fakes.hospital import AUTOMATIC_GATE, START, FakeHospital, HospitalNetwork
from fakes.signed_hospital import OPERATOR, OTHER_OPERATOR, RUN, key_file, make_hospital, private_key, signing_spec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anamnesis.operator.addresses import RUN_KEY_VARIABLE
from anamnesis.operator.api.condition_types import DECIDED, UNVERIFIED_PROMOTION
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import RunState
from anamnesis.operator.plan import SiteState
from anamnesis.operator.plan.update_lifecycle import CLAIM_DURATION
from anamnesis.records import CriterionResult, Enforcement, EntryKind, Verdict
from anamnesis.registry import Log, build_history, verify_log

SITES = ("north", "south")
KEY_FILES = {signer: key_file(signer) for signer in (OPERATOR, OTHER_OPERATOR)}
STABLE_STATES = {
    SiteState.LEARNED,
    SiteState.REJECTED,
    SiteState.ROLLED_BACK,
    SiteState.FAILED,
    SiteState.WAITING_FOR_DATA,
}
Step = tuple[str, int, str]
UNDECIDED_QUALITY = "0.52"
"""Its interval has the floor 0.5 inside, so a person decides also where approvals are Automatic."""


@pytest.fixture(autouse=True, scope="module")
def run_key() -> Iterator[None]:
    """The key of runs, as a pod has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUN_KEY_VARIABLE, private_key(RUN))
        yield


one_of_two = st.integers(0, 1)
ordinary = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, 4), st.sampled_from(SITES)),
    st.tuples(st.just("reconcile"), one_of_two, st.just("")),
    st.tuples(st.just("work"), one_of_two, st.just("")),
    st.tuples(st.just("say"), one_of_two, st.sampled_from(["Approve", "Approve", "Reject"])),
    st.tuples(st.just("kill"), st.integers(0, 6), st.just("")),
)
unusual = st.one_of(
    st.tuples(st.just("fail"), one_of_two, st.sampled_from(["Failed", "Cancelled", "Interrupted"])),
    st.tuples(st.just("clock"), st.sampled_from([-7200, -60, 60, 4000, 30_000, 100_000]), st.just("")),
    st.tuples(st.just("back"), st.integers(0, 3), st.just("")),
    st.tuples(st.just("ask"), st.integers(1, 3), st.sampled_from(SITES)),
    st.tuples(st.just("state"), one_of_two, st.sampled_from(["Active", "Suspended"])),
    st.tuples(st.just("delete"), one_of_two, st.just("")),
    st.tuples(st.just("outage"), one_of_two, st.just("")),
    st.tuples(st.just("recreate"), st.integers(0, 9), st.sampled_from(["", "kill"])),
    st.tuples(st.sampled_from(["lose", "terminate", "outdate"]), one_of_two, st.just("")),
)
BEGUN: list[Step] = [("drop", 0, "north"), ("reconcile", 0, ""), ("reconcile", 1, "")]
ROUND: list[Step] = [("work", 0, ""), ("reconcile", 0, ""), ("say", 0, "Approve"), ("reconcile", 0, "")]
TWO_CHAMPIONS: list[Step] = [*BEGUN, ("drop", 0, "south"), *ROUND, *ROUND]
steps = st.tuples(
    st.sampled_from([BEGUN, TWO_CHAMPIONS]),
    st.lists(st.one_of(ordinary, ordinary, unusual), min_size=12, max_size=30),
).map(lambda parts: [*parts[0], *parts[1]])


class HistorySimulation:
    """One network; two operators may share its registry."""

    def __init__(self, operators: int, approval: str) -> None:
        self.network, self.contents, self.time_advanced = HospitalNetwork(), count(), timedelta(0)
        gate = AUTOMATIC_GATE | {"margin": "0.5", "recallMargin": "0.5", "approval": approval}
        signers = (OPERATOR, OTHER_OPERATOR)[:operators]
        spec = {"gate": gate} | signing_spec(*signers, RUN, shared=True)
        self.hospitals = [make_hospital(self.network, spec, KEY_FILES[signer]) for signer in signers]

    def apply_step(self, step: Step) -> None:
        kind, number, argument = step
        hospital = self.hospitals[number % len(self.hospitals)]
        match kind:
            case "drop":
                quality = {3: UNDECIDED_QUALITY, 4: "0.2"}.get(number, "0.9")
                self.network.add_data(argument, f"content {next(self.contents)}", quality=quality)
            case "reconcile":
                hospital.reconcile()
            case "kill":
                hospital.reconcile_until_killed(number)
            case "work":
                hospital.finish_runs()
            case "fail":
                for name in hospital.backend.live_runs:
                    hospital.backend.end_run(name, RunState(argument))
            case "lose":
                hospital.backend.lost_runs.update(hospital.backend.live_runs)
            case "terminate":
                for run in list(hospital.backend.runs_by_name.values()):
                    hospital.backend.cancel(run)
            case "outdate":
                for name in hospital.backend.live_runs:
                    hospital.backend.outdate_run(name)
            case "clock":
                self.network.now += timedelta(seconds=number)
                self.time_advanced += max(timedelta(seconds=number), timedelta(0))
            case "say":
                hospital.decide_pending(argument)
            case "back":
                promoted = hospital.history().promoted_versions
                if promoted:
                    hospital.create_approval("RollBack", promoted[number % len(promoted)])
            case "ask":
                hospital.request_update(argument, number)
            case "state":
                hospital.edit_model(state=argument)
            case "delete":
                for update in hospital.updates:
                    hospital.cluster.delete(update)
            case "recreate":
                self.recreate_model(hospital, number, is_killed=argument == "kill")
            case "outage":
                self.network.unreachable = True
                hospital.reconcile()
                self.network.unreachable = False
        self.check()

    def recreate_model(self, hospital: FakeHospital, writes: int, is_killed: bool) -> None:
        """Deletes the model, lets the operator end what it left, perhaps not to its end, and applies it again."""
        hospital.cluster.delete(hospital.model)
        if is_killed:
            hospital.reconcile_until_killed(writes)
        elif writes % 2:
            hospital.reconcile()
            assert not hospital.backend.live_runs
            assert hospital.updates == ()
        hospital.recreate_model()

    def check(self) -> None:
        """Checks the invariants."""
        live = Counter(h.backend.claim_of_run(name) for h in self.hospitals for name in h.backend.live_runs)
        outlived = (
            len(self.hospitals) > 1 and self.time_advanced >= CLAIM_DURATION
        )  # another operator may take over an expired claim
        assert outlived or all(times == 1 for times in live.values()), "one update runs twice at once"
        check_log(self.hospitals[0])
        for hospital in self.hospitals:
            verification = hospital.model.status.condition(UNVERIFIED_PROMOTION)
            assert verification is None or verification.status == "False", verification

    def run_until_stable(self) -> None:
        """Lets runs end, people approve and operators reconcile until nothing changes any more."""
        for hospital in self.hospitals:
            hospital.edit_model(state="Active")
        unchanged = 0
        for _ in range(60):
            state_before = self.observable_state()
            self.network.now = max(self.network.now, START) + timedelta(hours=13)
            for hospital in self.hospitals:
                hospital.reconcile()
                hospital.finish_runs()
                hospital.reconcile()
                hospital.decide_pending()
                hospital.reconcile()
            unchanged = unchanged + 1 if state_before == self.observable_state() else 0
            if unchanged == 3:  # longer than the deadline of a run, which ends one whose Workflow is gone
                return
        raise AssertionError(f"the state still changes: {[h.states() for h in self.hospitals]}")

    def observable_state(self) -> object:
        decision_entries = [e for e in Log(self.hospitals[0].registry).entries() if e.kind is not EntryKind.CLAIM]
        return [(h.states(), len(h.backend.submitted), len(h.updates)) for h in self.hospitals], len(decision_entries)


def check_log(hospital: FakeHospital) -> None:
    """No entry breaks the rules; every champion has the gate's decision and, where required, a person's approval."""
    entries = Log(hospital.registry).entries()
    assert build_history(entries).ignored_entries == ()
    required = hospital.model.spec.gate.approval == "Required"
    approved = set()
    for entry in entries:
        if entry.kind is EntryKind.APPROVE:
            approved.add(entry.subject)
        if entry.kind is EntryKind.PROMOTE:
            assert entry.decision is not None
            assert entry.decision.verdict is Verdict.PROMOTE
            assert entry.decision.enforcement is Enforcement.ENFORCED
            is_undecided = any(item.result is CriterionResult.UNDECIDED for item in entry.decision.criteria)
            assert entry.subject in approved or not (required or is_undecided)


def check_end(simulation: HistorySimulation) -> None:
    """Nothing was lost: the current data of every site is learned, or its state says why not."""
    for hospital in simulation.hospitals:
        for name, state in hospital.states().items():
            assert SiteState(state) in STABLE_STATES, (name, state)
            assert (state == "WaitingForData") == (name not in simulation.network.sources)
        assert not hospital.backend.live_runs
        assert all(update.status.condition(DECIDED) for update in hospital.cluster.list(ModelUpdate, "hospital"))
    verify_log(simulation.hospitals[0].registry)


def simulate(operators: int, approval: str, history: Sequence[Step]) -> HistorySimulation:
    simulation = HistorySimulation(operators, approval)
    for step in history:
        simulation.apply_step(step)
    simulation.run_until_stable()
    check_end(simulation)
    return simulation


half_as_many = settings(max_examples=settings.default.max_examples // 2)  # a history takes half a second


@half_as_many
@given(st.sampled_from(["Automatic", "Required"]), steps)
@example("Required", [("drop", 0, "north"), ("kill", 2, ""), ("kill", 1, ""), ("work", 0, ""), ("kill", 3, "")])
@example("Automatic", [*BEGUN, ("lose", 0, ""), ("drop", 0, "south"), ("terminate", 0, ""), ("reconcile", 0, "")])
@example("Automatic", [*BEGUN, ("outdate", 0, ""), ("kill", 1, ""), ("reconcile", 0, ""), ("lose", 0, "")])
def test_one_operator(approval: str, history: list[Step]) -> None:
    simulate(1, approval, history)


@half_as_many
@given(st.sampled_from(["Automatic", "Required"]), steps)
def test_two_operators_that_share_a_registry(approval: str, history: list[Step]) -> None:
    simulate(2, approval, history)


@pytest.mark.parametrize("approval", ["Automatic", "Required"])
def test_ten_kills_at_every_write_end_as_if_never_killed(approval: str) -> None:
    """The second version is undecided: a person approves it, and it becomes champion."""

    def end_of_life(kills: bool) -> tuple[object, list[str]]:
        simulation = HistorySimulation(1, approval)
        (hospital,) = simulation.hospitals
        for content, quality in (("a", "0.9"), ("b", UNDECIDED_QUALITY)):
            simulation.network.add_data("north", content, quality=quality)
            for writes in range(10):
                if kills:
                    hospital.reconcile_until_killed(writes % 4)
                hospital.reconcile()
                if not hospital.backend.live_runs:
                    hospital.decide_pending()
                if writes > 5:
                    hospital.finish_runs()
        entries = Log(hospital.registry).entries()
        _, second = [entry for entry in entries if entry.kind is EntryKind.PROMOTE]
        assert {item.result for item in second.decision.criteria} == {CriterionResult.PASSED, CriterionResult.UNDECIDED}
        return [(e.kind, e.subject) for e in entries if e.kind is not EntryKind.APPROVE], hospital.backend.submitted

    assert end_of_life(kills=True) == end_of_life(kills=False)
