from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import (
    Criterion,
    CriterionResult,
    Enforcement,
    EntryKind,
    Evaluation,
    EvaluationSet,
    InputError,
    LogEntry,
    Metric,
    Task,
    TaskType,
    Verdict,
    Version,
    decode,
    encode,
)
from anamnesis.registry import (
    ApprovalMode,
    GatePolicy,
    History,
    RequiredTestSet,
    TaskLimits,
    build_history,
    decide_promotion,
)

BASE = "sha256:base"
CANDIDATE = Version(base=BASE, snapshot="sha256:snapshot", site="new", configuration={}, parts={})
METRICS = {"forgetting": "AUROC", "saliency": "IoU"}
D = Decimal


def required(site: str, new: bool) -> RequiredTestSet:
    return RequiredTestSet(site, Task(f"task {site}", TaskType.CLASSIFICATION, ("a", "b")), f"test of {site}", new)


TESTS = (required("old", new=False), required("new", new=True))
REFERENCES = {("test of old", "AUROC"): D("0.90")}
HISTORY = History(champion=BASE, promoted_versions=(BASE,), bases={BASE: None})
POLICY = GatePolicy(D("0.80"), D("0.03"), D("0.40"), approval=ApprovalMode.AUTOMATIC)
GOOD = {"old": "0.90", "new": "0.90", "old saliency": "0.70"}


def criterion(name: str, site: str, value: Decimal | None, limit: Decimal, passed: bool | None) -> Criterion:
    result = {True: CriterionResult.PASSED, False: CriterionResult.FAILED, None: CriterionResult.MISSING}[passed]
    return Criterion(name=name, site=site, task=f"task {site}", value=value, limit=limit, result=result)


def evaluations_of(scores: dict[str, str], evaluator: str = "e") -> list[Evaluation]:
    evaluations = []
    for key, value in scores.items():
        site, name = key.split()[0], "saliency" if "saliency" in key else "forgetting"
        metrics = {METRICS[name]: Metric(D(value), 10)}
        key_fields = (CANDIDATE.digest, site, f"task {site}", f"test of {site}")
        evaluations.append(Evaluation(*key_fields, evaluator, name, metrics))
    return evaluations


def decision_of(scores: dict[str, str], policy: GatePolicy = POLICY, history: History = HISTORY, **changes):
    arguments = {"tests": TESTS, "references": REFERENCES, "evaluations": evaluations_of(scores)} | changes
    return decide_promotion(policy, CANDIDATE, history=history, **arguments)


@pytest.mark.parametrize(
    ("scores", "verdict", "reason"),
    [
        ({}, Verdict.PROMOTE, "passed 4 criteria"),
        # A value equal to its limit passes; the smallest step beyond fails.
        ({"new": "0.80"}, Verdict.PROMOTE, "passed"),
        ({"new": "0.799999"}, Verdict.REJECT, "failed 1 of 4 criteria: floor of task new at new 0.799999 < 0.80"),
        ({"old": "0.87"}, Verdict.PROMOTE, "passed"),
        ({"old": "0.869999"}, Verdict.REJECT, "forgetting of task old at old 0.030001 > 0.03"),
        ({"old": "0.95"}, Verdict.PROMOTE, "passed"),
        ({"old saliency": "0.40"}, Verdict.PROMOTE, "passed"),
        ({"old saliency": "0.39"}, Verdict.REJECT, "saliency of task old at old 0.39 < 0.40"),
        ({"old": "0.5", "new": "0.5"}, Verdict.REJECT, "failed 3 of 4"),
        # What is missing is named, and is waited for even where something failed already.
        ({"old": None}, Verdict.AWAIT_EVALUATIONS, "missing: forgetting evaluation of task old at old"),
        ({"old saliency": None, "new": "0"}, Verdict.AWAIT_EVALUATIONS, "saliency evaluation of task old at old"),
        ({"new": None}, Verdict.AWAIT_EVALUATIONS, "forgetting evaluation of task new at new"),
    ],
)
def test_the_gate(scores: dict[str, str | None], verdict: Verdict, reason: str) -> None:
    decision = decision_of({key: value for key, value in (GOOD | scores).items() if value is not None})
    assert decision.verdict is verdict
    assert reason in decision.reason


def test_every_criterion_has_value_limit_and_result() -> None:
    decision = decision_of(GOOD | {"old": "0.86"})
    assert decision.criteria == (
        criterion("floor", "old", value=D("0.86"), limit=D("0.80"), passed=True),
        criterion("forgetting", "old", value=D("0.04"), limit=D("0.03"), passed=False),
        criterion("saliency", "old", value=D("0.70"), limit=D("0.40"), passed=True),
        criterion("floor", "new", value=D("0.90"), limit=D("0.80"), passed=True),
    )
    assert decision.evaluations == tuple(sorted(item.digest for item in evaluations_of(GOOD | {"old": "0.86"})))
    assert (decision.candidate, decision.base, decision.champion) == (CANDIDATE.digest, BASE, BASE)


def test_a_saliency_floor_on_a_task_without_maps_is_not_waited_for() -> None:
    segmentation = replace(TESTS[0], task=replace(TESTS[0].task, type=TaskType.SEGMENTATION))
    scores = {"old": "0.90", "new": "0.90"}
    decision = decision_of(scores, tests=[segmentation, *TESTS[1:]])
    saliency = next(item for item in decision.criteria if item.name == "saliency")
    assert (decision.verdict, saliency.result) == (Verdict.PROMOTE, CriterionResult.NOT_APPLICABLE)
    assert decision.reason == "passed 3 criteria"
    assert decision_of(scores).verdict is Verdict.AWAIT_EVALUATIONS


def test_an_evaluator_that_found_no_maps_is_not_waited_for() -> None:
    """The method's network has no saliency maps: the evaluation has no metrics."""
    evaluations = [replace(item, metrics={}) if item.name == "saliency" else item for item in evaluations_of(GOOD)]
    decision = decision_of({}, evaluations=evaluations)
    assert decision.verdict is Verdict.PROMOTE
    assert [item.name for item in decision.criteria if item.result is CriterionResult.NOT_APPLICABLE] == ["saliency"]
    low = decision_of({}, evaluations=[*evaluations, *evaluations_of({"old saliency": "0.1"})])
    assert low.verdict is Verdict.REJECT, "where one evaluator has maps, they count"


def test_a_missing_value_has_no_verdict() -> None:
    assert decision_of({}).criteria[0] == criterion("floor", "old", value=None, limit=D("0.80"), passed=None)


def test_a_test_set_without_limits_must_be_evaluated_all_the_same() -> None:
    free = GatePolicy(approval=ApprovalMode.AUTOMATIC)
    assert decision_of({"old": "0.1"}, free).verdict is Verdict.AWAIT_EVALUATIONS
    assert decision_of({"old": "0.1", "new": "0.1"}, free).verdict is Verdict.PROMOTE


def test_limits_of_one_task_replace_the_policys_one_by_one() -> None:
    policy = replace(POLICY, tasks={"task old": TaskLimits(floor=D("0.5"), margin=D("0.5"))})
    assert decision_of(GOOD | {"old": "0.5"}, policy).verdict is Verdict.PROMOTE
    assert decision_of(GOOD | {"old": "0.5", "old saliency": "0.3"}, policy).verdict is Verdict.REJECT
    assert decision_of(GOOD | {"new": "0.5"}, policy).verdict is Verdict.REJECT


def test_a_margin_without_an_earlier_score_waits_for_one() -> None:
    decision = decision_of(GOOD, references={})
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert "of a promoted version, for the margin" in decision.reason
    assert decision_of(GOOD, replace(POLICY, margin=None), references={}).verdict is Verdict.PROMOTE


def test_the_first_version_can_have_forgotten_nothing() -> None:
    first = replace(CANDIDATE, base=None)
    evaluations = [replace(item, version=first.digest) for item in evaluations_of({"old": "0.8", "new": "0.8"})]
    decision = decide_promotion(
        policy=POLICY, candidate=first, tests=TESTS, evaluations=evaluations, references={}, history=History()
    )
    assert (decision.verdict, [item.name for item in decision.criteria]) == (Verdict.PROMOTE, ["floor", "floor"])


def test_only_the_candidates_own_evaluations_on_frozen_sets_count() -> None:
    good = evaluations_of(GOOD)
    strangers = [
        replace(good[0], version="sha256:other", metrics={"AUROC": Metric(D("0.1"), 1)}),
        replace(good[0], evaluation_set=EvaluationSet.RECENT, metrics={"AUROC": Metric(D("0.1"), 1)}),
        replace(good[0], test_set="another", metrics={"AUROC": Metric(D("0.1"), 1)}),
        replace(good[0], name="privacy", metrics={}),
    ]
    assert decision_of(GOOD, evaluations=good + strangers) == decision_of(GOOD)
    assert decision_of(GOOD, evaluations=good[1:] + strangers).verdict is Verdict.AWAIT_EVALUATIONS


def test_of_two_evaluators_the_worse_counts() -> None:
    both = evaluations_of(GOOD) + evaluations_of({"new": "0.7"}, "another")
    assert decision_of(GOOD, evaluations=both).verdict is Verdict.REJECT
    assert decision_of(GOOD, evaluations=both[::-1]) == decision_of(GOOD, evaluations=both)


def test_an_evaluation_without_the_metric_is_an_error() -> None:
    bad = [replace(evaluations_of(GOOD)[0], metrics={"Accuracy": Metric(D(1), 1)})]
    with pytest.raises(
        InputError, match=r"forgetting evaluation.*at old: the evaluation has no metric AUROC; set primaryMetric.*Acc"
    ):
        decision_of(GOOD, evaluations=bad)


def test_approval_counts_for_exactly_this_version(build) -> None:
    policy = replace(POLICY, approval=ApprovalMode.REQUIRED)
    assert decision_of(GOOD, policy).verdict is Verdict.AWAIT_APPROVAL
    other_approval = build.entry(EntryKind.APPROVE, "sha256:other")
    assert (
        decision_of(GOOD, policy, replace(HISTORY, approvals={other_approval.subject: other_approval})).verdict
        is Verdict.AWAIT_APPROVAL
    )
    approved_history = replace(HISTORY, approvals={CANDIDATE.digest: build.entry(EntryKind.APPROVE, CANDIDATE.digest)})
    assert decision_of(GOOD, policy, approved_history).verdict is Verdict.PROMOTE
    assert decision_of(GOOD | {"new": "0"}, policy, approved_history).verdict is Verdict.REJECT
    assert decision_of({}, policy, approved_history).verdict is Verdict.AWAIT_EVALUATIONS


def test_a_persons_rejection_comes_first(build) -> None:
    veto = replace(HISTORY, rejections={CANDIDATE.digest: build.entry(EntryKind.REJECT, CANDIDATE.digest)})
    decision = decision_of(GOOD, history=veto)
    assert (decision.verdict, decision.reason) == (Verdict.REJECT, "dr rejected it in log entry 1: why")
    by_gate = build.entry(EntryKind.REJECT, CANDIDATE.digest, build.decision(CANDIDATE.digest, BASE, Verdict.REJECT))
    gate_rejected_history = replace(HISTORY, rejections={CANDIDATE.digest: by_gate})
    assert (
        decision_of(GOOD, history=gate_rejected_history).verdict is Verdict.PROMOTE
    )  # the policy may have changed since


def test_another_champion_supersedes() -> None:
    decision = decision_of({}, history=History(champion="sha256:x", promoted_versions=(BASE, "sha256:x")))
    assert (decision.verdict, decision.champion) == (Verdict.SUPERSEDED, "sha256:x")
    assert decision_of(GOOD, history=History()).verdict is Verdict.SUPERSEDED


def test_the_gate_decides_the_same_after_the_promotion() -> None:
    digest = CANDIDATE.digest
    champion = replace(HISTORY, champion=digest, promoted_versions=(BASE, digest))
    assert decision_of(GOOD, history=champion).verdict is Verdict.PROMOTE
    assert decision_of(GOOD, history=replace(champion, champion=BASE)).verdict is Verdict.SUPERSEDED


@pytest.mark.parametrize("limits", [{"floor": D("NaN")}, {"margin": D("Infinity")}, {"margin": D("-0.1")}])
def test_limits_are_checked(limits: dict[str, Decimal]) -> None:
    for kind in (GatePolicy, TaskLimits):
        with pytest.raises(InputError, match=f"gate.{next(iter(limits))}"):
            kind(**limits)


def test_a_policy_is_read_as_it_was_written() -> None:
    policy = replace(POLICY, tasks={"x": TaskLimits(margin=D("0.10"))})
    assert decode(GatePolicy, encode(policy)) == policy


decimals = st.decimals(min_value=0, max_value=1, places=20)


@given(score=decimals, best=decimals, floor=decimals, margin=decimals)
def test_comparisons_are_exact(score: Decimal, best: Decimal, floor: Decimal, margin: Decimal) -> None:
    decision = decision_of(
        GOOD | {"old": str(score)},
        replace(POLICY, tasks={"task old": TaskLimits(floor, margin)}),
        references={("test of old", "AUROC"): best},
    )
    passed = {item.name: item.result is CriterionResult.PASSED for item in decision.criteria if item.site == "old"}
    assert passed["floor"] == (Fraction(score) >= Fraction(floor))
    assert passed["forgetting"] == (Fraction(best) - Fraction(score) <= Fraction(margin))
    assert (decision.verdict is Verdict.PROMOTE) == all(passed.values())


def test_scores_too_long_to_subtract_exactly_are_refused() -> None:
    with pytest.raises(InputError, match="more than 200 digits"):
        decision_of(GOOD | {"old": "0." + "1" * 300})


@given(old=decimals, new=decimals, saliency=decimals, more=decimals)
def test_a_better_score_never_loses(old: Decimal, new: Decimal, saliency: Decimal, more: Decimal) -> None:
    worse = decision_of({"old": str(old), "new": str(new), "old saliency": str(saliency)})
    better = decision_of({"old": str(old + more), "new": str(new + more), "old saliency": str(saliency + more)})
    assert worse.verdict is not Verdict.PROMOTE or better.verdict is Verdict.PROMOTE


def issued(replaced: str, subject: str) -> LogEntry:
    return LogEntry(
        number=7,
        previous_digest="",
        nonce="",
        kind=EntryKind.ISSUE_TEST_SET,
        subject=subject,
        author="rossi",
        reason="labels were swapped",
        time="2026-11-20T12:00:00Z",
        site="old",
        replaced_subject=replaced,
    )


@pytest.mark.parametrize("scores", [GOOD, GOOD | {"old": "0.0"}, {}])
@pytest.mark.parametrize("enforcement", list(Enforcement))
def test_corrected_labels_in_a_frozen_test_set_leave_it_undecided(scores, enforcement) -> None:
    tests = (replace(TESTS[0], corrected_labels=3), TESTS[1])
    decision = decision_of(scores, replace(POLICY, enforcement=enforcement), tests=tests)
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert "run 'anamnesis testset issue --site old --reason TEXT'" in decision.reason


def test_a_replaced_test_set_decides_nothing_and_its_score_is_shown() -> None:
    history = build_history([issued("test of old", "next test of old")])
    history = replace(HISTORY, replaced_test_sets=history.replaced_test_sets)
    decision = decision_of(GOOD | {"old": "0.0"}, history=history)
    assert decision.verdict is Verdict.SUPERSEDED
    assert "rossi replaced the test set of old in log entry 7" in decision.reason
    next_test = replace(TESTS[0], test_set="next test of old")
    good = evaluations_of(GOOD)
    moved = [replace(item, test_set="next test of old") if item.site == "old" else item for item in good]
    earlier = evaluations_of({"old": "0.01"}, "earlier")
    decision = decision_of(
        {},
        history=history,
        tests=(next_test, TESTS[1]),
        evaluations=[*moved, *earlier],
        references={("next test of old", "AUROC"): D("0.90")},
    )
    assert decision.verdict is Verdict.PROMOTE
    assert "on the replaced test set of old it scores AUROC 0.01, not required" in decision.reason
    assert len(decision.evaluations) == len(moved)


def _with_patients(patients: int | None, scores: dict[str, str] = GOOD):
    return [replace(evaluation, class_patients=patients) for evaluation in evaluations_of(scores)]


@pytest.mark.parametrize("scores", [GOOD, GOOD | {"new": "0.10"}], ids=["good", "bad"])
def test_a_class_with_few_test_patients_is_never_judged(scores):
    decision = decision_of(scores, evaluations=_with_patients(29, scores))
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert (
        "a class of task task new at new has 29 test patients, fewer than gate.minimumTestPatients 30"
        in decision.reason
    )


@pytest.mark.parametrize(("patients", "minimum"), [(30, 30), (12, 12), (9, 0), (None, 30)])
def test_enough_patients_or_a_declared_minimum_are_judged(patients, minimum):
    policy = replace(POLICY, minimum_test_patients=minimum)
    assert decision_of({}, policy, evaluations=_with_patients(patients)).verdict is Verdict.PROMOTE


def test_without_a_limit_nothing_is_judged_and_few_patients_do_no_harm():
    policy = GatePolicy(approval=ApprovalMode.AUTOMATIC)
    assert decision_of({}, policy, evaluations=_with_patients(12)).verdict is Verdict.PROMOTE


def test_an_advisory_gate_says_that_patients_are_few_and_goes_on():
    policy = replace(POLICY, enforcement=Enforcement.ADVISORY)
    decision = decision_of({}, policy, evaluations=_with_patients(12))
    assert decision.verdict is Verdict.PROMOTE
    assert "has 12 test patients" in decision.reason
