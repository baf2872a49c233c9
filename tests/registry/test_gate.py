from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import (
    CriterionResult,
    Decision,
    Enforcement,
    EntryKind,
    Evaluation,
    EvaluationSet,
    InputError,
    LogEntry,
    Metric,
    PairedDifference,
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
    SaliencyLimit,
    TaskLimits,
    build_history,
    decide_promotion,
)

D = Decimal
BASE, FIRST = "sha256:base", "sha256:first"
CANDIDATE = Version(base=BASE, snapshot="sha256:snapshot", site="new", configuration={}, parts={})
PATIENTS = 200


def required(site: str, new: bool) -> RequiredTestSet:
    return RequiredTestSet(site, Task(f"task {site}", TaskType.CLASSIFICATION, ("a", "b")), f"test of {site}", new)


TESTS = (required("old", new=False), required("new", new=True))
HISTORY = History(champion=BASE, promoted_versions=(BASE,), bases={BASE: None})
POLICY = GatePolicy(
    floor=D("0.80"),
    margin=D("0.03"),
    saliency_floor=D("0.40"),
    recall_floor=D("0.70"),
    recall_margin=D("0.05"),
    site_inferred=D("0.95"),
    calibration_error=D("0.05"),
    approval=ApprovalMode.AUTOMATIC,
)


def metric(value: str, half: str = "0.03", patients: int = PATIENTS) -> Metric:
    score = D(value)
    low, high = max(score - D(half), D(0)), min(score + D(half), D(1))
    return Metric(score, patients, low, high, patients)


def drop(
    value: str, name: str = "AUROC", reference: str = BASE, error: str = "0.005", patients: int = PATIENTS
) -> PairedDifference:
    """A drop with a standard error; a recall has shares, of which as many change as give this error."""
    if not name.startswith("Recall/"):
        return PairedDifference(reference, name, D(value), D(error), D(patients), patients)
    gains = max(D("0.01"), -D(value))
    return PairedDifference(
        reference, name, D(value), D(error), D(patients), patients, losses=gains + D(value), gains=gains
    )


def scores_of(site: str, *drops: PairedDifference, look: int = 1, **metrics: Metric | None) -> Evaluation:
    values = {"AUROC": metric("0.90"), "Recall/a": metric("0.85"), "Recall/b": metric("0.85")}
    values |= {key.replace("_", "/"): value for key, value in metrics.items()}
    differences = {(item.metric, item.reference): item for item in (*(GOOD_DROPS if site == "old" else ()), *drops)}
    return Evaluation(
        version=CANDIDATE.digest,
        site=site,
        task=f"task {site}",
        test_set=f"test of {site}",
        evaluator="e",
        name="forgetting",
        metrics={key: value for key, value in values.items() if value},
        patients=PATIENTS,
        differences=tuple(differences.values()),
        look=look,
    )


def maps_of(site: str = "old", version: str = "", **metrics: Metric | None) -> Evaluation:
    values = {"IoU": metric("0.70"), "DeletionAdvantage": metric("0.10")} | metrics
    return replace(
        scores_of(site),
        version=version or CANDIDATE.digest,
        name="saliency",
        metrics={key: value for key, value in values.items() if value},
        differences=(),
    )


GOOD_DROPS = (drop("0"), drop("0", "Recall/a"), drop("0", "Recall/b"))
SEGMENTATION_TESTS = tuple(
    replace(test, task=Task(test.task.name, TaskType.SEGMENTATION, ("background", "organ"))) for test in TESTS
)
OLD, NEW, MAPS = scores_of("old"), scores_of("new"), maps_of()
GOOD = (OLD, NEW, MAPS)
MASKS = [scores_of("old", drop("0", "Dice"), Dice=metric("0.9")), scores_of("new", Dice=metric("0.9"))]


def decision_of(*evaluations: Evaluation, policy: GatePolicy = POLICY, history: History = HISTORY, **changes):
    """The decision on good evaluations, of which those of the same test set and evaluator are replaced."""
    chosen = {(item.version, item.site, item.name, item.evaluator): item for item in (*GOOD, *evaluations)}
    arguments = {"candidate": CANDIDATE, "tests": TESTS, "evaluations": list(chosen.values())} | changes
    return decide_promotion(policy, history=history, **arguments)


def results(decision: Decision, name: str, site: str = "old") -> list[str]:
    return [item.result.value for item in decision.criteria if (item.name, item.site) == (name, site)]


def test_every_criterion_has_value_limit_result_metric_reference_and_patients() -> None:
    decision = decision_of()
    assert (decision.verdict, decision.reason) == (Verdict.PROMOTE, "passed 10 criteria")
    assert [(item.name, item.site, item.metric, item.reference) for item in decision.criteria] == [
        ("floor", "old", "AUROC", ""),
        ("recall", "old", "Recall/a", ""),
        ("recall", "old", "Recall/b", ""),
        ("forgetting", "old", "AUROC", BASE),
        ("recall_drop", "old", "Recall/a", BASE),
        ("recall_drop", "old", "Recall/b", BASE),
        ("saliency", "old", "IoU", ""),
        ("floor", "new", "AUROC", ""),
        ("recall", "new", "Recall/a", ""),
        ("recall", "new", "Recall/b", ""),
    ]
    assert {item.result for item in decision.criteria} == {CriterionResult.PASSED}
    assert {item.patients for item in decision.criteria} == {PATIENTS}
    forgetting = decision.criteria[3]
    assert (forgetting.value, forgetting.limit) == (D(0), D("0.03"))
    assert forgetting.high is not None
    assert D(0) < forgetting.high < D("0.03")
    assert decision.evaluations == tuple(sorted(item.digest for item in GOOD))


@pytest.mark.parametrize(
    ("evaluation", "verdict", "name", "sentence"),
    [
        # The interval of the score against the floor: above it, around it, below it.
        (scores_of("new", AUROC=metric("0.84")), Verdict.PROMOTE, "floor", "passed"),
        (scores_of("new", AUROC=metric("0.81")), Verdict.AWAIT_APPROVAL, "floor", "has the floor 0.80 inside"),
        (scores_of("new", AUROC=metric("0.75")), Verdict.REJECT, "floor", "is below the floor 0.80"),
        # A new site whose ranking is good and whose recall is not.
        (scores_of("new", Recall_b=metric("0.04")), Verdict.REJECT, "recall", "Recall/b of task new at new is 0.040"),
        (scores_of("new", Recall_b=None), Verdict.AWAIT_APPROVAL, "recall", "class b of task new at new has fewer"),
        (scores_of("new", AUROC=replace(metric("0.9"), low=None)), Verdict.AWAIT_APPROVAL, "floor", "without an int"),
        # Answers of other sites, and probabilities that are too high.
        (scores_of("new", SiteInferred=metric("0.40")), Verdict.REJECT, "site_inferred", "SiteInferred of task new"),
        (scores_of("new", SiteInferred=metric("0.99", "0.01")), Verdict.PROMOTE, "site_inferred", "passed"),
        (scores_of("new", CalibrationError=metric("0.2")), Verdict.AWAIT_APPROVAL, "calibration", "are not the shares"),
        (scores_of("new", CalibrationError=metric("0.07")), Verdict.AWAIT_APPROVAL, "calibration", "limit is 0.05"),
        (scores_of("new", CalibrationError=metric("0.04")), Verdict.PROMOTE, "calibration", "passed"),
    ],
)
def test_limits_of_every_test_set(evaluation: Evaluation, verdict: Verdict, name: str, sentence: str) -> None:
    decision = decision_of(evaluation)
    assert decision.verdict is verdict, decision.reason
    assert sentence in decision.reason
    assert results(decision, name, "new")


@pytest.mark.parametrize(
    ("differences", "verdict", "sentence"),
    [
        ([drop("-0.05")], Verdict.PROMOTE, "passed"),
        ([drop("0.05")], Verdict.REJECT, "AUROC of task old at old is 0.050 below that of the base version on the"),
        ([drop("0.05", reference=FIRST)], Verdict.REJECT, "below that of the first accepted version on the same 200"),
        # More than the margin, and maybe chance: nobody is rejected for it, and nobody is promoted.
        ([drop("0.0328", error="0.03")], Verdict.AWAIT_APPROVAL, "the smallest drop that could have been excluded is"),
        ([drop("0.10", "Recall/b")], Verdict.REJECT, "Recall/b of task old at old is 0.100 below"),
        ([drop("0.04", "Recall/b", patients=40)], Verdict.AWAIT_APPROVAL, "on the same 40 patients, which does not"),
        ([drop("0.9", "Precision/b")], Verdict.PROMOTE, "passed"),
    ],
)
def test_drops_are_judged_on_paired_differences(
    differences: list[PairedDifference], verdict: Verdict, sentence: str
) -> None:
    decision = decision_of(scores_of("old", *differences))
    assert decision.verdict is verdict, decision.reason
    assert sentence in decision.reason


def test_many_looks_make_the_test_stricter_and_the_sentence_names_the_cure() -> None:
    differences = [drop("0.005", error="0.007")]
    assert decision_of(scores_of("old", *differences)).verdict is Verdict.PROMOTE
    late = decision_of(scores_of("old", *differences, look=6))
    assert late.verdict is Verdict.AWAIT_APPROVAL
    assert "this is candidate 6 on this test set" in late.reason
    assert "'anamnesis testset issue --site old --reason TEXT' gives a new one" in late.reason


def test_an_undecided_drop_shows_the_patients_and_what_they_could_have_excluded() -> None:
    decision = decision_of(scores_of("old", drop("0.01", error="0.02")))
    (criterion,) = [item for item in decision.criteria if item.result is CriterionResult.UNDECIDED]
    assert (criterion.name, criterion.patients, criterion.reference) == ("forgetting", PATIENTS, BASE)
    assert criterion.detectable is not None
    assert D("0.03") < criterion.detectable < D("0.05")
    assert f"excluded is {criterion.detectable:.3f}" in decision.reason


def test_missing_differences_to_a_base_that_knows_the_site_are_waited_for() -> None:
    without = replace(OLD, differences=tuple(item for item in OLD.differences if item.metric != "Recall/a"))
    decision = decision_of(without)
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert "missing: the difference of Recall/a of task old at old to the base version" in decision.reason
    without_any = replace(OLD, differences=())
    assert decision_of(without_any).verdict is Verdict.AWAIT_EVALUATIONS
    open_margins = replace(POLICY, margin=D(1), recall_margin=D(1))
    assert decision_of(without_any, policy=open_margins).verdict is Verdict.PROMOTE
    other_evaluator = replace(OLD, evaluator="later release")
    assert decision_of(without, other_evaluator).verdict is Verdict.PROMOTE
    assert decision_of(without, policy=replace(POLICY, recall_margin=None)).verdict is Verdict.PROMOTE


def test_a_first_version_and_a_new_site_have_no_drops() -> None:
    first = replace(CANDIDATE, base=None)
    evaluations = [replace(item, version=first.digest, differences=()) for item in (OLD, NEW)]
    decision = decision_of(candidate=first, evaluations=evaluations, history=History())
    assert decision.verdict is Verdict.PROMOTE
    assert {item.name for item in decision.criteria} == {"floor", "recall"}


def test_without_a_declared_recall_floor_a_person_must_approve(build) -> None:
    policy = replace(POLICY, recall_floor=None)
    decision = decision_of(policy=policy)
    assert decision.verdict is Verdict.AWAIT_APPROVAL
    assert "gate.recallFloor is not declared for task task old at old" in decision.reason
    assert decision_of(policy=policy, tests=SEGMENTATION_TESTS, evaluations=MASKS).verdict is Verdict.PROMOTE
    declared = replace(policy, tasks={f"task {site}": TaskLimits(recall_floor=D(0)) for site in ("old", "new")})
    assert decision_of(policy=declared).verdict is Verdict.PROMOTE


SAME_CLASS = replace(POLICY, saliency_floor=SaliencyLimit.SAME_CLASS)
BASE_MAPS = maps_of(version=BASE)


@pytest.mark.parametrize(
    ("maps", "policy", "verdict", "sentence"),
    [
        (maps_of(IoU=metric("0.35", "0.02")), POLICY, Verdict.REJECT, "is below the floor 0.40"),
        (
            maps_of(IoU=metric("0.2976", "0.04")),
            replace(POLICY, saliency_floor=D("0.3")),
            Verdict.AWAIT_APPROVAL,
            "IoU",
        ),
        (maps_of(IoUSameClass95=metric("0.50")), SAME_CLASS, Verdict.PROMOTE, "passed"),
        (maps_of(IoUSameClass95=metric("0.90")), SAME_CLASS, Verdict.REJECT, "is below the floor 0.90"),
        (maps_of(), SAME_CLASS, Verdict.AWAIT_APPROVAL, "have no limit SameClass"),
        # Random maps: the update is not rejected, because its scores are unharmed, and not promoted either.
        (maps_of(DeletionAdvantage=metric("0.01")), POLICY, Verdict.AWAIT_APPROVAL, "do not show what the network"),
        (maps_of(site="new", DeletionAdvantage=metric("0.01")), POLICY, Verdict.AWAIT_APPROVAL, "do not show what"),
        (maps_of(DeletionAdvantage=None), POLICY, Verdict.AWAIT_APPROVAL, "nothing has measured whether"),
        (maps_of(DeletionAdvantage=None), replace(POLICY, saliency_floor=D(0)), Verdict.PROMOTE, "passed"),
        (maps_of(IoU=None), POLICY, Verdict.PROMOTE, "passed"),
    ],
)
def test_saliency_maps(maps: Evaluation, policy: GatePolicy, verdict: Verdict, sentence: str) -> None:
    decision = decision_of(maps, BASE_MAPS, policy=policy)
    assert decision.verdict is verdict, decision.reason
    assert sentence in decision.reason


def test_maps_that_are_gone_need_a_person_and_maps_that_never_were_do_not() -> None:
    gone = replace(MAPS, metrics={})
    assert decision_of(gone).verdict is Verdict.PROMOTE
    decision = decision_of(gone, BASE_MAPS)
    assert (decision.verdict, results(decision, "saliency")) == (Verdict.AWAIT_APPROVAL, ["failed"])
    assert "the candidate has no saliency maps of task old at old" in decision.reason
    both = decision_of(gone, replace(maps_of(IoU=metric("0.1")), evaluator="another"))
    assert both.verdict is Verdict.REJECT, "where one evaluator has maps, they count"
    decision = decision_of(tests=SEGMENTATION_TESTS, evaluations=MASKS)
    assert (decision.verdict, results(decision, "saliency")) == (Verdict.PROMOTE, ["not_applicable"])
    assert decision_of(evaluations=[OLD, NEW]).verdict is Verdict.AWAIT_EVALUATIONS


def test_a_model_that_answers_only_where_the_site_is_known_needs_to_infer_none() -> None:
    evaluation = scores_of("new", SiteInferred=metric("0.10"))
    assert decision_of(evaluation).verdict is Verdict.REJECT
    assert decision_of(evaluation, policy=replace(POLICY, site_required=True)).verdict is Verdict.PROMOTE


@pytest.mark.parametrize(
    ("name", "score", "sentence"),
    [
        ("CalibrationError", metric("0.30", patients=99), "is not judged with 99 patients: it takes 100 test patients"),
        # Right probabilities give such an error too: its interval begins at 0.
        ("CalibrationError", metric("0.06", "0.06"), "is 0.060, with an interval from 0.000 to 0.120"),
        ("CalibrationSlope", metric("0.5", "0.1"), "is 0.500, with an interval from 0.400 to 0.600, and the limit"),
        ("CalibrationSlope", Metric(D("1.5"), 200, D("1.3"), D("1.7"), 200), "the limit is 1.25"),
    ],
)
def test_calibration_is_shown_and_not_judged(name: str, score: Metric, sentence: str) -> None:
    decision = decision_of(scores_of("new", **{name: score}))
    (criterion,) = [item for item in decision.criteria if item.name == "calibration"]
    assert (decision.verdict, criterion.result) == (Verdict.PROMOTE, CriterionResult.NOT_APPLICABLE)
    assert sentence in criterion.reason


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (OLD, "missing: forgetting evaluation of task old at old"),
        (NEW, "missing: forgetting evaluation of task new at new"),
        (MAPS, "missing: saliency evaluation of task old at old"),
    ],
)
def test_a_missing_evaluation_is_named_and_a_failure_does_not_wait_for_it(missing: Evaluation, sentence: str) -> None:
    rest = [item for item in GOOD if item is not missing]
    decision = decision_of(evaluations=rest)
    assert (decision.verdict, decision.reason) == (Verdict.AWAIT_EVALUATIONS, sentence)
    bad = scores_of("new" if missing is OLD else "old", AUROC=metric("0.1"))
    remaining = [bad, *(item for item in rest if (item.site, item.name) != (bad.site, bad.name))]
    assert decision_of(evaluations=remaining).verdict is Verdict.REJECT


def test_a_test_set_without_limits_must_be_evaluated_all_the_same() -> None:
    free = GatePolicy(recall_floor=D(0), approval=ApprovalMode.AUTOMATIC)
    low = replace(OLD, metrics={"AUROC": metric("0.1")}, differences=())
    assert decision_of(evaluations=[low], policy=free).verdict is Verdict.AWAIT_EVALUATIONS
    assert decision_of(evaluations=[low, NEW], policy=free).verdict is Verdict.PROMOTE


def test_limits_of_one_task_replace_the_policys_one_by_one() -> None:
    policy = replace(POLICY, tasks={"task old": TaskLimits(floor=D("0.5"), margin=D("0.5"))})
    harmed = scores_of("old", drop("0.3"), AUROC=metric("0.6"))
    assert decision_of(harmed).verdict is Verdict.REJECT
    assert decision_of(harmed, policy=policy).verdict is Verdict.PROMOTE
    assert decision_of(harmed, maps_of(IoU=metric("0.3")), policy=policy).verdict is Verdict.REJECT
    assert decision_of(scores_of("new", AUROC=metric("0.6")), policy=policy).verdict is Verdict.REJECT


def test_a_margin_of_one_and_a_floor_of_zero_are_always_met() -> None:
    policy = replace(POLICY, floor=D(0), recall_floor=D(0), margin=D(1), recall_margin=D(1))
    unmeasured = Metric(D("0.1"), 3)
    poor = scores_of("old", drop("0.9", patients=3), drop("0.9", "Recall/a"), AUROC=unmeasured, Recall_a=unmeasured)
    assert decision_of(poor, policy=policy).verdict is Verdict.PROMOTE


def test_only_the_candidates_own_evaluations_on_frozen_sets_count() -> None:
    bad = {"AUROC": metric("0.1")}
    strangers = [
        replace(OLD, version="sha256:other", metrics=bad),
        replace(OLD, version=BASE, metrics=bad),
        replace(OLD, evaluation_set=EvaluationSet.RECENT, metrics=bad),
        replace(OLD, test_set="another", metrics=bad),
        replace(OLD, name="privacy", metrics={}),
    ]
    assert decision_of(evaluations=[*GOOD, *strangers]) == decision_of()
    assert decision_of(evaluations=[*GOOD[1:], *strangers]).verdict is Verdict.AWAIT_EVALUATIONS


def test_of_two_evaluators_the_worse_counts() -> None:
    both = [*GOOD, replace(scores_of("new", AUROC=metric("0.7")), evaluator="another")]
    assert decision_of(evaluations=both).verdict is Verdict.REJECT
    assert decision_of(evaluations=both[::-1]).reason == decision_of(evaluations=both).reason


def test_an_evaluation_without_the_metric_is_an_error() -> None:
    with pytest.raises(
        InputError, match=r"forgetting evaluation.*at old: the evaluation has no metric AUROC; set primaryMetric.*Rec"
    ):
        decision_of(scores_of("old", AUROC=None))


def test_approval_counts_for_exactly_this_version_and_decides_what_is_open(build) -> None:
    required_approval = replace(POLICY, approval=ApprovalMode.REQUIRED)
    other_approval = build.entry(EntryKind.APPROVE, "sha256:other")
    other = replace(HISTORY, approvals={other_approval.subject: other_approval})
    approved = replace(HISTORY, approvals={CANDIDATE.digest: build.entry(EntryKind.APPROVE, CANDIDATE.digest)})
    undecided = scores_of("old", drop("0.02", error="0.02"))
    for evaluations, policy in (((), required_approval), ((undecided,), POLICY), ((undecided,), required_approval)):
        assert decision_of(*evaluations, policy=policy).verdict is Verdict.AWAIT_APPROVAL
        assert decision_of(*evaluations, policy=policy, history=other).verdict is Verdict.AWAIT_APPROVAL
        assert decision_of(*evaluations, policy=policy, history=approved).verdict is Verdict.PROMOTE
    decision = decision_of(undecided, history=approved)
    assert "approved by dr, 1 open: AUROC of task old at old is 0.020 below" in decision.reason
    bad = scores_of("new", AUROC=metric("0.1"))
    assert decision_of(bad, policy=required_approval, history=approved).verdict is Verdict.REJECT
    decision = decision_of(evaluations=[], policy=required_approval, history=approved)
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS


def test_a_persons_rejection_comes_first(build) -> None:
    veto = replace(HISTORY, rejections={CANDIDATE.digest: build.entry(EntryKind.REJECT, CANDIDATE.digest)})
    decision = decision_of(history=veto)
    assert (decision.verdict, decision.reason) == (Verdict.REJECT, "dr rejected it in log entry 1: why")
    by_gate = build.entry(EntryKind.REJECT, CANDIDATE.digest, build.decision(CANDIDATE.digest, BASE, Verdict.REJECT))
    gate_rejected_history = replace(HISTORY, rejections={CANDIDATE.digest: by_gate})
    assert decision_of(history=gate_rejected_history).verdict is Verdict.PROMOTE  # the policy may have changed since


def test_another_champion_supersedes_and_the_champion_stays() -> None:
    digest = CANDIDATE.digest
    decision = decision_of(history=History(champion="sha256:x", promoted_versions=(BASE, "sha256:x")))
    assert (decision.verdict, decision.champion) == (Verdict.SUPERSEDED, "sha256:x")
    assert decision_of(history=History()).verdict is Verdict.SUPERSEDED
    champion = replace(HISTORY, champion=digest, promoted_versions=(BASE, digest))
    assert decision_of(history=champion).verdict is Verdict.PROMOTE
    assert decision_of(history=replace(champion, champion=BASE)).verdict is Verdict.SUPERSEDED


@pytest.mark.parametrize(
    "limits", [{"floor": D("NaN")}, {"margin": D("Infinity")}, {"margin": D("-0.1")}, {"recall_margin": D(-1)}]
)
def test_limits_are_checked(limits: dict[str, Decimal]) -> None:
    for kind in (GatePolicy, TaskLimits):
        with pytest.raises(InputError, match=f"gate.{next(iter(limits))}"):
            kind(**limits)


@pytest.mark.parametrize("saliency_floor", [None, D("0.4"), SaliencyLimit.SAME_CLASS])
def test_a_policy_is_read_as_it_was_written(saliency_floor: Decimal | SaliencyLimit | None) -> None:
    policy = replace(POLICY, saliency_floor=saliency_floor, tasks={"x": TaskLimits(margin=D("0.10"))})
    assert decode(GatePolicy, encode(policy)) == policy


shares = st.decimals(min_value=0, max_value=1, places=3)


@given(score=shares, more=shares, lost=shares)
def test_a_better_score_never_loses(score: Decimal, more: Decimal, lost: Decimal) -> None:
    def verdict(value: Decimal, fallen: Decimal) -> Verdict:
        value = min(value, D(1))
        scores = {"AUROC": metric(str(value)), "Recall_a": metric(str(value))}
        return decision_of(scores_of("old", drop(str(fallen)), **scores)).verdict

    order = [Verdict.REJECT, Verdict.AWAIT_APPROVAL, Verdict.PROMOTE]
    assert order.index(verdict(score, lost)) <= order.index(verdict(score + more, lost - more))


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


@pytest.mark.parametrize("evaluations", [GOOD, [scores_of("old", AUROC=metric("0"))], []])
@pytest.mark.parametrize("enforcement", list(Enforcement))
def test_corrected_labels_in_a_frozen_test_set_leave_it_undecided(evaluations, enforcement) -> None:
    tests = (replace(TESTS[0], corrected_labels=3), TESTS[1])
    policy = replace(POLICY, enforcement=enforcement)
    decision = decision_of(policy=policy, tests=tests, evaluations=evaluations)
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert "run 'anamnesis testset issue --site old --reason TEXT'" in decision.reason


def test_a_replaced_test_set_decides_nothing_and_its_score_is_shown() -> None:
    history = build_history([issued("test of old", "next test of old")])
    history = replace(HISTORY, replaced_test_sets=history.replaced_test_sets)
    decision = decision_of(scores_of("old", AUROC=metric("0.0")), history=history)
    assert decision.verdict is Verdict.SUPERSEDED
    assert "rossi replaced the test set of old in log entry 7" in decision.reason
    next_test = replace(TESTS[0], test_set="next test of old")
    moved = [replace(item, test_set="next test of old") if item.site == "old" else item for item in GOOD]
    earlier = replace(scores_of("old", AUROC=metric("0.01")), evaluator="earlier")
    decision = decision_of(history=history, tests=(next_test, TESTS[1]), evaluations=[*moved, earlier])
    assert decision.verdict is Verdict.PROMOTE
    assert "on the replaced test set of old it scores AUROC 0.01, not required" in decision.reason
    assert len(decision.evaluations) == len(moved)


def _with_patients(patients: int | None, *evaluations: Evaluation) -> list[Evaluation]:
    return [replace(item, class_patients=patients) for item in (evaluations or GOOD)]


BAD = (OLD, scores_of("new", AUROC=metric("0.10")), MAPS)


@pytest.mark.parametrize("evaluations", [GOOD, BAD], ids=["good", "bad"])
def test_a_class_with_few_test_patients_is_never_judged(evaluations):
    decision = decision_of(evaluations=_with_patients(29, *evaluations))
    assert decision.verdict is Verdict.AWAIT_EVALUATIONS
    assert (
        "a class of task task new at new has 29 test patients, fewer than gate.minimumTestPatients 30"
        in decision.reason
    )


@pytest.mark.parametrize(("patients", "minimum"), [(30, 30), (12, 12), (9, 0), (None, 30)])
def test_enough_patients_or_a_declared_minimum_are_judged(patients, minimum):
    policy = replace(POLICY, minimum_test_patients=minimum)
    assert decision_of(policy=policy, evaluations=_with_patients(patients)).verdict is Verdict.PROMOTE


def test_an_advisory_gate_says_that_patients_are_few_and_what_is_open_and_goes_on():
    policy = replace(POLICY, enforcement=Enforcement.ADVISORY)
    decision = decision_of(policy=policy, evaluations=_with_patients(12))
    assert decision.verdict is Verdict.PROMOTE
    assert "has 12 test patients" in decision.reason
    decision = decision_of(scores_of("old", drop("0.02", error="0.02")), policy=policy)
    assert decision.verdict is Verdict.AWAIT_APPROVAL
    assert decision.reason.startswith("judged 10 criteria, 1 open: AUROC of task old at old")


def test_of_many_open_criteria_the_first_are_shown_and_the_others_counted() -> None:
    classes = tuple(f"c{number}" for number in range(10))
    tests = [replace(test, task=replace(test.task, classes=classes)) for test in TESTS]
    decision = decision_of(tests=tests)
    assert decision.verdict is Verdict.AWAIT_APPROVAL
    assert decision.reason.endswith("; and 16 more, see the criteria")
    assert len(decision.reason) < 1000
