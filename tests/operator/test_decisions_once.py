"""A person's decision has one effect, at one moment, for ever: random orders of decisions, promotions and faults."""

from dataclasses import replace
from datetime import timedelta

from fakes.hospital import APPROVAL_REQUIRED, SHARED, SPACE, FakeHospital, HospitalNetwork
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.condition_types import RECORDED
from anamnesis.records import EntryKind, LogEntry
from anamnesis.registry import Log, build_history

SITES = ("north",)
EFFECTS = {
    "Approve": EntryKind.APPROVE,
    "Reject": EntryKind.REJECT,
    "RollBack": EntryKind.ROLL_BACK,
    "Withdraw": EntryKind.WITHDRAW,
}
Step = tuple[str, int, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["learn", "reconcile", "approve", "approve"]), st.integers(0, 1), st.just(0)),
        st.tuples(st.sampled_from(["RollBack", "RollBack", "Reject", "Approve"]), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.sampled_from(["Withdraw"]), st.integers(0, 1), st.just(0)),
        st.tuples(st.sampled_from(["kill"]), st.integers(0, 1), st.integers(0, 6)),
        st.tuples(st.sampled_from(["wipe", "recreate", "wipe all"]), st.integers(0, 1), st.integers(0, 9)),
    ),
    min_size=4,
    max_size=15,
)
LEARNED: list[Step] = [("learn", 0, 0), ("approve", 0, 0)]
BEGUN = [*LEARNED, *LEARNED]


class DecisionSimulation:
    """Operators that share a registry, and the answers to their people."""

    def __init__(self, operators: int, approval: str) -> None:
        self.network = HospitalNetwork()
        spec = APPROVAL_REQUIRED | SHARED
        spec = {**spec, "gate": {**APPROVAL_REQUIRED["gate"], "approval": approval}}
        self.hospitals = [FakeHospital(self.network, spec, SITES) for _ in range(operators)]
        self.contents = self.checked_entries = 0
        self.answers: dict[str, tuple[str, str, int]] = {}  # name of an approval -> condition, reason, log entry

    def apply_step(self, step: Step) -> None:
        kind, hospital_number, number = step
        hospital = self.hospitals[hospital_number % len(self.hospitals)]
        self.network.now += timedelta(seconds=1)
        versions = sorted({update.status.version or "" for update in hospital.updates} - {""})
        approvals = hospital.cluster.list(UpdateApproval, SPACE)
        match kind:
            case "learn":
                self.contents += 1
                self.network.add_data("north", f"content {self.contents}")
                self.network.now += timedelta(hours=7)  # the claim of the other operator has expired
                hospital.run_update()
            case "reconcile":
                hospital.reconcile()
            case "approve":
                hospital.decide_pending()
                hospital.reconcile()
            case "kill":
                hospital.reconcile_until_killed(number)
            case "Withdraw":
                hospital.create_approval(kind)
            case "RollBack" if versions:
                hospital.create_approval(kind, versions[number % len(versions)])
            case "Approve" | "Reject" if versions:
                version = versions[number % len(versions)]
                update = next(update for update in hospital.updates if update.status.version == version)
                hospital.create_approval(kind, version, update.metadata.name)
            case "wipe" | "recreate" if approvals:
                approval = approvals[number % len(approvals)]
                {"wipe": hospital.wipe_approval_status, "recreate": hospital.recreate_approval}[kind](approval)
            case "wipe all":
                for approval in approvals:
                    hospital.wipe_approval_status(approval)
        self.check()

    def check(self) -> None:
        entries = Log(self.hospitals[0].registry).entries()
        check_entries(entries, self.checked_entries)
        self.checked_entries = len(entries)
        for hospital in self.hospitals:
            for approval in hospital.cluster.list(UpdateApproval, SPACE):
                condition = approval.status.condition(RECORDED)
                if condition is None or condition.status == "Unknown":
                    continue
                answer = (condition.status, condition.reason, approval.status.log_entry)
                if condition.reason == "RecordedBefore":
                    names = {entry.approval.name for entry in entries if entry.approval}
                    assert approval.metadata.name in names, "only what the log has was recorded before"
                    continue
                assert self.answers.setdefault(approval.metadata.name, answer) == answer, "an answer never changes"
                check_answer(approval, answer, entries)


def check_entries(entries: tuple[LogEntry, ...], checked: int) -> None:
    """Each decision is in the log once, and the champion changes only by an entry that says so."""
    recorded = [entry.approval for entry in entries if entry.approval]
    assert len({approval.uid for approval in recorded}) == len(recorded)
    assert len({approval.name for approval in recorded}) == len(recorded), "not even under another uid"
    before = build_history(entries[:checked])
    for number, entry in enumerate(entries[checked:], checked + 1):
        after = build_history(entries[:number])
        assert after.ignored_entries == ()
        if before.champion != after.champion:
            assert entry.kind in (EntryKind.PROMOTE, EntryKind.ROLL_BACK, EntryKind.WITHDRAW)
        if entry.kind is EntryKind.PROMOTE:
            assert before.withdrawal is None
        if entry.approval:
            has_effect = replace(after, recorded_approvals={}) != replace(before, recorded_approvals={})
            assert has_effect == (entry.kind is EFFECTS[entry.approval.decision]), "the kind says whether it has one"
            assert has_effect or entry.kind is EntryKind.NO_EFFECT
        before = after


def check_answer(approval: UpdateApproval, answer: tuple[str, str, int], entries: tuple[LogEntry, ...]) -> None:
    """An answer to a person is what the log has."""
    status, reason, number = answer
    entry = entries[number - 1]
    assert entry.approval
    assert (entry.approval.name, entry.author) == (approval.metadata.name, "rossi")
    assert entry.approval.outcome == reason
    assert (entry.kind is EntryKind.NO_EFFECT) == (reason != "Recorded")
    assert (status == "True") == (reason in ("Recorded", "AlreadyInEffect"))


half_as_many = settings(max_examples=settings.default.max_examples // 2)  # a history takes half a second


@half_as_many
@given(st.integers(1, 2), st.sampled_from(["Required", "Automatic"]), steps)
@example(1, "Required", [("RollBack", 0, 0), ("RollBack", 0, 1), *LEARNED, ("wipe all", 0, 0)])
@example(2, "Automatic", [("Withdraw", 0, 0), ("kill", 0, 1), ("wipe all", 0, 0), ("RollBack", 1, 0), ("learn", 1, 0)])
@example(1, "Required", [("RollBack", 0, 1), ("reconcile", 0, 0), *LEARNED, ("recreate", 0, 2)])
def test_a_decision_has_one_effect_at_one_moment_for_ever(operators: int, approval: str, history: list[Step]) -> None:
    simulation = DecisionSimulation(operators, approval)
    for step in [*BEGUN, *history, ("reconcile", 0, 0), ("reconcile", 1, 0), ("reconcile", 0, 0)]:
        simulation.apply_step(step)


def promoted_hospital(network: HospitalNetwork, count: int = 2) -> tuple[FakeHospital, tuple[str, ...]]:
    hospital = FakeHospital(network, {}, SITES)
    for number in range(count):
        network.add_data("north", f"content {number}")
        hospital.run_update()
    return hospital, hospital.history().promoted_versions


def test_a_rollback_to_the_champion_never_undoes_a_later_promotion(network: HospitalNetwork) -> None:
    hospital, (first, _) = promoted_hospital(network)
    pressed = [hospital.create_approval("RollBack", first) for _ in range(2)]  # pressed twice
    hospital.reconcile()
    assert [hospital.approval_result(each)[1] for each in pressed] == ["Recorded", "AlreadyInEffect"]
    network.add_data("north", "third")
    hospital.run_update()
    third = hospital.history().champion
    assert third not in (None, first)
    for each in pressed:  # a restore without statuses, and a new process
        hospital.wipe_approval_status(each)
    hospital.start_operator()
    hospital.reconcile()
    assert hospital.history().champion == third
    assert [hospital.approval_result(each)[1] for each in pressed] == ["Recorded", "AlreadyInEffect"]


def test_a_kill_between_log_and_status_executes_nothing_twice(network: HospitalNetwork) -> None:
    for writes in range(4):
        hospital, (first, second) = promoted_hospital(HospitalNetwork())
        approval = hospital.create_approval("RollBack", first)
        hospital.reconcile_until_killed(writes)
        hospital.create_approval("RollBack", second)
        hospital.reconcile()
        assert hospital.history().champion == second, writes
        assert hospital.approval_result(approval) == ("True", "Recorded")


def test_a_refused_approval_does_not_count_when_its_cause_is_gone(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED, SITES)
    for content in ("a", "b", "c"):
        network.add_data("north", content)
        hospital.run_update()
        if content != "c":
            hospital.decide_pending()
            hospital.reconcile()
    first, second = hospital.history().promoted_versions
    waiting = next(update for update in hospital.updates if update.status.version not in (first, second))
    hospital.create_approval("RollBack", first)
    hospital.reconcile()
    late = hospital.create_approval("Approve", waiting.status.version or "", waiting.metadata.name)
    hospital.reconcile()
    assert hospital.approval_result(late) == ("False", "Superseded")
    hospital.wipe_approval_status(late)
    hospital.create_approval("RollBack", second)  # the base is the champion again
    hospital.reconcile()
    assert hospital.history().champion == second
    assert hospital.approval_result(late) == ("False", "Superseded")
    assert hospital.states() == {"north": "AwaitingApproval"}


def test_an_approval_ends_with_a_rollback_before_its_promotion(network: HospitalNetwork) -> None:
    hospital = FakeHospital(network, APPROVAL_REQUIRED, SITES)
    for content in ("a", "b"):
        network.add_data("north", content)
        hospital.run_update()
        hospital.decide_pending()
        hospital.reconcile()
    first, second = hospital.history().promoted_versions
    network.add_data("north", "c")
    hospital.run_update()
    hospital.edit_model(state="Suspended")
    hospital.decide_pending()
    hospital.reconcile()  # approved, and not promoted while the model is suspended
    for version in (first, second):
        hospital.create_approval("RollBack", version)
        hospital.reconcile()
    hospital.edit_model(state="Active")
    hospital.reconcile()
    assert hospital.history().champion == second
    assert hospital.states() == {"north": "AwaitingApproval"}, "a person decides again"
