from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import (
    ConflictError,
    Decision,
    DecisionOutcome,
    Enforcement,
    EntryKind,
    InputError,
    PersonDecision,
    RefusedError,
    Verdict,
)
from anamnesis.registry import (
    ApprovalMode,
    ApprovalToRecord,
    GatePolicy,
    Log,
    approve,
    build_history,
    evaluate_gate,
    import_champion,
    list_versions,
    record_approval,
    record_decision,
    reject,
    roll_back,
    verify_log,
    withdraw,
    write_evaluation,
)
from anamnesis.storage import MissingObjectError, Store

POLICY = GatePolicy(
    floor=Decimal("0.8"), margin=Decimal("0.03"), recall_floor=Decimal(0), approval=ApprovalMode.AUTOMATIC
)


def champion(store: Store) -> str | None:
    return build_history(Log(store).entries()).champion


def kinds(store: Store) -> list[str]:
    return [entry.kind.value for entry in Log(store).entries()]


def promoted(store: Store, build, name: str, base: str | None = None) -> str:
    digest = build.stored(store, name, base)
    assert record_decision(store, build.decision(digest, base), "operator", "passed")
    return digest


def test_from_evaluations_to_the_champion(store: Store, build) -> None:
    first = build.stored(store, "a")
    tests = [build.test("guangzhou", new=True)]
    decision = evaluate_gate(store, first, POLICY, tests)
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert record_decision(store, decision, "operator", "daily") is None
    write_evaluation(store, build.evaluation(first, "0.90"))
    decision = evaluate_gate(store, first, POLICY, tests)
    entry = record_decision(store, decision, "operator", "daily")
    assert (entry.kind, entry.decision, entry.author) == (EntryKind.PROMOTE, decision, "operator")
    assert champion(store) == first

    second = build.stored(store, "b", first)
    tests = [build.test("guangzhou"), build.test("bethesda", new=True)]
    worse = replace(build.evaluation(second, "0.86"), differences=(build.difference(first, "0.05"),))
    write_evaluation(store, worse)
    write_evaluation(store, build.evaluation(second, "0.96", site="bethesda"))
    decision = evaluate_gate(store, second, POLICY, tests)
    assert (decision.verdict, decision.criteria[1].value) == (Verdict.REJECT, Decimal("0.05"))
    assert record_decision(store, decision, "operator", "daily").kind is EntryKind.REJECT
    lenient = evaluate_gate(store, second, replace(POLICY, margin=Decimal("0.07")), tests)
    assert record_decision(store, lenient, "operator", "the margin was widened").kind is EntryKind.PROMOTE
    assert champion(store) == second
    assert kinds(store) == ["promote", "reject", "promote"]


def test_an_undecided_candidate_waits_for_a_person_and_then_becomes_champion(store: Store, build) -> None:
    """Also where approvals are Automatic; an advisory gate waits for nobody."""
    first = promoted(store, build, "a")
    tests, second = [build.test("guangzhou")], build.stored(store, "b", first)
    unclear = replace(build.evaluation(second, "0.90"), differences=(build.difference(first, "0.028"),))
    write_evaluation(store, unclear)
    decision = evaluate_gate(store, second, POLICY, tests)
    assert decision.verdict is Verdict.AWAIT_APPROVAL
    assert record_decision(store, decision, "operator", "daily") is None
    approve(store, second, "dr", "read the report")
    approved = evaluate_gate(store, second, POLICY, tests)
    assert (approved.verdict, record_decision(store, approved, "operator", "daily").kind) == (
        Verdict.PROMOTE,
        EntryKind.PROMOTE,
    )
    third = build.stored(store, "c", second)
    write_evaluation(store, replace(build.evaluation(third, "0.90"), differences=(build.difference(second, "0.028"),)))
    advisory = evaluate_gate(store, third, replace(POLICY, enforcement=Enforcement.ADVISORY), tests)
    entry = record_decision(store, advisory, "operator", "demonstration")
    assert (entry.kind, entry.decision.verdict) == (EntryKind.PROMOTE, Verdict.AWAIT_APPROVAL)


def test_recording_a_decision_again_writes_nothing(store: Store, build) -> None:
    first = promoted(store, build, "a")
    for verdict in (Verdict.PROMOTE, Verdict.REJECT):
        candidate = build.stored(store, verdict.value, champion(store))
        decision = build.decision(candidate, champion(store), verdict)
        assert record_decision(store, decision, "operator", "x")
        length = len(kinds(store))
        assert record_decision(store, decision, "operator", "x") is None
        assert len(kinds(store)) == length
    assert record_decision(store, build.decision(first, None), "operator", "x") is None


def test_a_promotion_that_comes_late_is_superseded(store: Store, build) -> None:
    base = promoted(store, build, "base")
    fast, slow = build.stored(store, "fast", base), build.stored(store, "slow", base)
    late = build.decision(slow, base)
    record_decision(store, build.decision(fast, base), "operator", "x")
    entry = record_decision(store, late, "operator", "x")
    assert (entry.kind, entry.decision.verdict, entry.decision.champion) == (
        EntryKind.SUPERSEDE,
        Verdict.SUPERSEDED,
        fast,
    )
    assert record_decision(store, late, "operator", "x") is None
    assert champion(store) == fast
    roll_back(store, base, "dr", "fast was wrong")  # its base is champion again: it may be promoted now
    assert record_decision(store, late, "operator", "x").kind is EntryKind.PROMOTE
    assert champion(store) == slow


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.PROMOTE, "promote"),
        (Verdict.REJECT, "promote"),
        (Verdict.AWAIT_APPROVAL, "promote"),
        (Verdict.AWAIT_EVALUATIONS, None),
        (Verdict.SUPERSEDED, "supersede"),
    ],
)
def test_an_advisory_gate_promotes_what_it_would_have_stopped(
    folder: Store, build, verdict: Verdict, expected: str | None
) -> None:
    candidate = build.stored(folder, "a")
    decision = replace(build.decision(candidate, None, verdict), enforcement=Enforcement.ADVISORY)
    entry = record_decision(folder, decision, "operator", "demonstration")
    assert (entry.kind.value if entry else None) == expected
    assert entry is None or entry.decision.verdict is verdict
    assert champion(folder) == (candidate if expected == "promote" else None)


def test_an_advisory_gate_neither_overrules_a_person_nor_the_order(folder: Store, build) -> None:
    base = promoted(folder, build, "base")
    refused, late = build.stored(folder, "refused", base), build.stored(folder, "late", None)
    reject(folder, refused, "dr", "artefacts")
    for candidate, parent in ((refused, base), (late, None)):
        decision = replace(build.decision(candidate, parent, Verdict.REJECT), enforcement=Enforcement.ADVISORY)
        entry = record_decision(folder, decision, "operator", "demonstration")
        assert entry is None or entry.kind is EntryKind.SUPERSEDE
    assert champion(folder) == base


def test_approval_and_rejection_by_a_person(store: Store, build) -> None:
    candidate = build.stored(store, "a")
    policy = GatePolicy()
    assert evaluate_gate(store, candidate, policy, []).verdict is Verdict.AWAIT_APPROVAL
    assert approve(store, candidate, "dr", "read the report").number == 1
    assert approve(store, candidate, "dr", "read the report") is None
    promote = evaluate_gate(store, candidate, policy, [])
    assert promote.verdict is Verdict.PROMOTE
    assert reject(store, candidate, "chief", "no").number == 2
    assert reject(store, candidate, "chief", "no") is None
    assert evaluate_gate(store, candidate, policy, []).verdict is Verdict.REJECT
    assert record_decision(store, promote, "operator", "decided before the rejection") is None
    with pytest.raises(RefusedError, match="chief has rejected it"):
        approve(store, candidate, "dr", "please")
    with pytest.raises(MissingObjectError):
        approve(store, build.digest("nothing"), "dr", "x")
    assert champion(store) is None


def test_roll_back_goes_to_promoted_versions_only(store: Store, build) -> None:
    with pytest.raises(RefusedError, match="no version was ever champion"):
        roll_back(store, build.stored(store, "c"), "dr", "x")
    first = promoted(store, build, "a")
    second = promoted(store, build, "b", first)
    never = build.stored(store, "c", second)
    assert roll_back(store, first, "dr", "drift").kind is EntryKind.ROLL_BACK
    assert roll_back(store, first, "dr", "drift") is None
    assert champion(store) == first
    with pytest.raises(RefusedError, match=f"cannot roll back.*never champion; choose one of: {first}, {second}"):
        roll_back(store, never, "dr", "x")
    with pytest.raises(RefusedError, match="roll back to an earlier version instead"):
        reject(store, second, "dr", "x")
    assert evaluate_gate(store, second, GatePolicy(approval=ApprovalMode.AUTOMATIC), []).verdict is Verdict.SUPERSEDED


def test_a_withdrawal_leaves_no_champion_until_a_roll_back(store: Store, build) -> None:
    with pytest.raises(InputError, match="the reason is blank"):
        withdraw(store, "rossi", " ")
    with pytest.raises(RefusedError, match="there is no champion to withdraw"):
        withdraw(store, "rossi", "x")
    first = promoted(store, build, "a")
    second = promoted(store, build, "b", first)
    candidate, root = build.stored(store, "c", second), build.stored(store, "root")
    approve(store, candidate, "rossi", "reviewed")
    entry = withdraw(store, "rossi", "wrong labels")
    assert (entry.kind, entry.subject, champion(store)) == (EntryKind.WITHDRAW, second, None)
    assert withdraw(store, "rossi", "again") is None
    for digest, base in ((candidate, second), (root, None)):
        assert evaluate_gate(store, digest, POLICY, []).verdict is Verdict.SUPERSEDED
        advisory = replace(build.decision(digest, base), enforcement=Enforcement.ADVISORY)
        assert record_decision(store, advisory, "operator", "x").kind is EntryKind.SUPERSEDE
        with pytest.raises(RefusedError, match="rossi withdrew the champion"):
            approve(store, digest, "rossi", "x")
    with pytest.raises(ConflictError, match="rossi withdrew the champion"):
        import_champion(store, root, "admin", "x")
    assert champion(store) is None
    roll_back(store, second, "rossi", "the labels were right")
    assert champion(store) == second
    assert evaluate_gate(store, candidate, GatePolicy(), []).verdict is Verdict.AWAIT_APPROVAL, "a person decides again"
    assert build_history(Log(store).entries()).ignored_entries == ()


def test_an_approval_is_recorded_once_with_its_outcome(store: Store, build) -> None:
    first = promoted(store, build, "a")
    second = promoted(store, build, "b", first)
    approval = ApprovalToRecord("back", "uid-1", PersonDecision.ROLL_BACK, second, "rossi", "ward 3")
    entry = record_approval(store, approval)
    assert (entry.kind, entry.approval.outcome) == (EntryKind.NO_EFFECT, DecisionOutcome.ALREADY_IN_EFFECT)
    third = promoted(store, build, "c", second)
    assert record_approval(store, approval) is None, "a word has one effect, at one moment"
    assert champion(store) == third
    entry = record_approval(store, replace(approval, uid="uid-2"))
    assert (entry.kind, entry.approval.uid, champion(store)) == (EntryKind.ROLL_BACK, "uid-2", second)
    refusal = DecisionOutcome.UNKNOWN_UPDATE
    unknown = ApprovalToRecord("a", "uid-3", PersonDecision.APPROVE, build.digest("no"), "rossi", "x", refusal)
    assert record_approval(store, unknown).approval.outcome is refusal
    stop = ApprovalToRecord("stop", "uid-4", PersonDecision.WITHDRAW, "", "rossi", "x")
    assert record_approval(store, stop).subject == second
    assert record_approval(store, replace(stop, uid="uid-5")).kind is EntryKind.NO_EFFECT
    assert verify_log(store) == ()


def test_two_writers_record_an_approval_once(memory_store, build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two operators, or two threads of one: the second loses the race for the entry, and finds the approval there."""
    store = memory_store()
    first = promoted(store, build, "a")
    promoted(store, build, "b", first)
    approval = ApprovalToRecord("back", "uid-1", PersonDecision.ROLL_BACK, first, "rossi", "ward 3")
    put_if_absent = store.put_if_absent

    def lose_race(key: str, data: bytes) -> bool:
        monkeypatch.setattr(store, "put_if_absent", put_if_absent)
        assert record_approval(store, approval)
        return bool(put_if_absent(key, data))

    monkeypatch.setattr(store, "put_if_absent", lose_race)
    assert record_approval(store, approval) is None
    assert [entry.approval.uid for entry in Log(store).entries() if entry.approval] == ["uid-1"]


def test_an_imported_version_becomes_the_first_champion_only(store: Store, build) -> None:
    imported, other = build.stored(store, "imported"), build.stored(store, "other")
    assert import_champion(store, imported, "admin", "weights of 2024").kind is EntryKind.PROMOTE
    assert import_champion(store, imported, "admin", "weights of 2024") is None
    with pytest.raises(ConflictError, match=f"has the champion {imported}; import into the registry of a new model"):
        import_champion(store, other, "admin", "x")
    with pytest.raises(ConflictError, match=f"trained from another one .{imported}.; import weights without a base"):
        import_champion(store, build.stored(store, "based", imported), "admin", "x")
    assert champion(store) == imported


actions = st.lists(
    st.tuples(
        st.sampled_from(("record", "approve", "reject", "roll back", "withdraw")), st.integers(0, 4), st.integers(0, 9)
    ),
    max_size=20,
)


@given(actions)
def test_any_sequence_of_actions_keeps_the_rules(build, memory_store, steps: list[tuple[str, int, int]]) -> None:
    """No sequence of calls writes an entry that the history ignores, or an entry twice."""
    store = memory_store()
    digests: list[str] = []
    for i in range(5):  # two roots and their descendants
        digests.append(build.stored(store, str(i), None if i < 2 else digests[i - 2]))
    bases = {digest: None if i < 2 else digests[i - 2] for i, digest in enumerate(digests)}
    for action, which, choice in steps:
        digest = digests[which]
        _act(store, action, digest, bases[digest], choice=choice)
        length = len(kinds(store))
        assert _act(store, action, digest, bases[digest], choice=choice) is None
        assert len(kinds(store)) == length
    history = build_history(Log(store).entries())
    assert history.ignored_entries == ()
    assert kinds(store).count("promote") == len(history.promoted_versions)
    assert verify_log(store) == ()
    assert set(list_versions(store)) == set(digests)


def _act(store: Store, action: str, digest: str, base: str | None, choice: int) -> object:
    try:
        if action == "record":
            verdict = list(Verdict)[choice % len(Verdict)]
            binding = list(Enforcement)[choice // len(Verdict)]
            decision = Decision(
                verdict=verdict,
                candidate=digest,
                base=base,
                champion=None,
                criteria=(),
                evaluations=(),
                reason="",
                enforcement=binding,
            )
            return record_decision(store, decision, "operator", "x")
        if action == "withdraw":
            return withdraw(store, "dr", "x")
        call = {"approve": approve, "reject": reject, "roll back": roll_back}[action]
        return call(store, digest, "dr", "x")
    except RefusedError:
        return None
