"""Metrics where lower is better, metrics with a unit, and limits that a type of task cannot have."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.records import (
    METRICS,
    CriterionResult,
    Decision,
    Evaluation,
    Metric,
    MetricProperties,
    PairedDifference,
    Task,
    TaskType,
    Verdict,
    Version,
)
from anamnesis.registry import (
    ApprovalMode,
    GatePolicy,
    History,
    RequiredTestSet,
    TaskLimits,
    decide_promotion,
)

D = Decimal
BASE = "sha256:base"
CANDIDATE = Version(base=BASE, snapshot="sha256:snapshot", site="new", configuration={}, parts={})
HISTORY = History(champion=BASE, promoted_versions=(BASE,), bases={BASE: None})
PATIENTS = 100
NEGATED = "NegatedDice"
"""Dice with the opposite sign, and with the opposite direction."""


@pytest.fixture(autouse=True)
def _negated_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = MetricProperties(
        NEGATED, TaskType.SEGMENTATION, is_lower_better=True, is_primary=True, lowest=D(-1), highest=D(0)
    )
    monkeypatch.setitem(METRICS, NEGATED, properties)


def required(metric: str, name: str = "old") -> RequiredTestSet:
    task = Task("organ", TaskType.SEGMENTATION, ("background", "organ"), metric)
    return RequiredTestSet(name, task, f"test of {name}", is_new_site=False)


def policy(**limits: Decimal) -> GatePolicy:
    """The model's limits are for scores; ``limits`` are those of the task."""
    task = {"organ": TaskLimits(**limits)} if limits else {}
    return GatePolicy(floor=D("0.5"), margin=D("0.03"), approval=ApprovalMode.AUTOMATIC, tasks=task)


def evaluation(metric: str, score: Decimal, half: Decimal, drop: Decimal, error: Decimal) -> Evaluation:
    return Evaluation(
        version=CANDIDATE.digest,
        site="old",
        task="organ",
        test_set="test of old",
        evaluator="e",
        name="forgetting",
        metrics={metric: Metric(score, PATIENTS, score - half, score + half, PATIENTS)},
        patients=PATIENTS,
        differences=(PairedDifference(BASE, metric, drop, error, D(PATIENTS), PATIENTS),),
        look=1,
    )


def decide(
    policy: GatePolicy, metric: str, score: str, drop: str, half: str = "0.01", error: str = "0.005"
) -> Decision:
    scores = evaluation(metric, D(score), D(half), D(drop), D(error))
    return decide_promotion(policy, CANDIDATE, [required(metric)], [scores], HISTORY)


def result_of(decision: Decision, name: str) -> str:
    (criterion,) = [item for item in decision.criteria if item.name == name]
    return criterion.result.value


DISTANCES = policy(ceiling=D(5), margin=D("0.5"))


@pytest.mark.parametrize(
    ("score", "drop", "verdict", "sentence"),
    [
        ("2.0", "-1.5", Verdict.PROMOTE, "passed"),
        ("2.0", "0", Verdict.PROMOTE, "passed"),
        (
            "2.0",
            "1.5",
            Verdict.REJECT,
            "SurfaceDistance of organ at old is 1.500 input pixels above that of the base version",
        ),
        ("9.0", "0", Verdict.REJECT, "with 100 patients is above the ceiling 5 input pixels"),
        ("5.0", "0", Verdict.AWAIT_APPROVAL, "has the ceiling 5 input pixels inside"),
        ("0.0", "0", Verdict.PROMOTE, "passed"),
    ],
)
def test_a_distance_is_judged_in_its_unit_and_lower_is_better(
    score: str, drop: str, verdict: Verdict, sentence: str
) -> None:
    decision = decide(DISTANCES, "SurfaceDistance", score, drop, half="0.2", error="0.1")
    assert decision.verdict is verdict, decision.reason
    assert sentence in decision.reason


@given(
    score=st.decimals(0, 100, places=3),
    drop=st.decimals(D("0.5"), 100, places=3),
    error=st.decimals(0, 5, places=3),
    half=st.decimals(0, 5, places=3),
)
def test_a_worse_distance_is_never_promoted(score: Decimal, drop: Decimal, error: Decimal, half: Decimal) -> None:
    """The candidate's measured distance is higher by the margin or more."""
    scores = evaluation("SurfaceDistance", score, half, drop, error)
    decision = decide_promotion(DISTANCES, CANDIDATE, [required("SurfaceDistance")], [scores], HISTORY)
    assert decision.verdict is not Verdict.PROMOTE
    assert result_of(decision, "forgetting") != "passed"


@given(score=st.decimals(D("5.001"), 100, places=3), half=st.decimals(0, 5, places=3))
def test_a_distance_above_its_ceiling_is_never_promoted(score: Decimal, half: Decimal) -> None:
    scores = evaluation("SurfaceDistance", score, half, D(0), D("0.1"))
    decision = decide_promotion(DISTANCES, CANDIDATE, [required("SurfaceDistance")], [scores], HISTORY)
    assert decision.verdict is not Verdict.PROMOTE


@given(
    score=st.decimals(0, 1, places=3),
    half=st.decimals(0, D("0.2"), places=3),
    drop=st.decimals(-1, 1, places=3),
    error=st.decimals(0, D("0.1"), places=3),
    limit=st.decimals(D("0.001"), 1, places=3),
    margin=st.decimals(0, 1, places=3),
)
def test_negated_values_in_the_other_direction_give_the_same_decision(
    score: Decimal, half: Decimal, drop: Decimal, error: Decimal, limit: Decimal, margin: Decimal
) -> None:
    higher = decide_promotion(
        policy(floor=limit, margin=margin),
        CANDIDATE,
        [required("Dice")],
        [evaluation("Dice", score, half, drop, error)],
        HISTORY,
    )
    lower = decide_promotion(
        policy(ceiling=-limit, margin=margin),
        CANDIDATE,
        [required(NEGATED)],
        [evaluation(NEGATED, -score, half, drop, error)],
        HISTORY,
    )
    assert lower.verdict is higher.verdict
    for mirrored, criterion in zip(lower.criteria, higher.criteria, strict=True):
        assert mirrored.result is criterion.result
        if criterion.name == "floor":
            assert (mirrored.name, mirrored.value, mirrored.limit) == ("ceiling", -score, -limit)
            assert (mirrored.low, mirrored.high) == (-criterion.high, -criterion.low)
        elif criterion.name == "forgetting":
            fields = ("value", "limit", "low", "high", "detectable")
            assert [getattr(mirrored, name) for name in fields] == [getattr(criterion, name) for name in fields]


def test_without_a_ceiling_or_a_margin_of_its_own_a_person_decides() -> None:
    decision = decide(policy(), "SurfaceDistance", "2.0", "0")
    assert decision.verdict is Verdict.AWAIT_APPROVAL
    assert "gate.tasks declares no ceiling in input pixels for task organ at old" in decision.reason
    assert "gate.tasks declares no margin in input pixels for task organ at old" in decision.reason
    assert "must read the score, or declare the ceiling" in decision.reason
    assert [item.result.value for item in decision.criteria if item.name == "floor"] == [], "no floor of the model"
    prognosis = replace(required("Dice"), task=Task("organ", TaskType.PROGNOSIS, (), "IntegratedBrierScore"))
    scores = evaluation("IntegratedBrierScore", D("0.1"), D("0.01"), D("0"), D("0.005"))
    without_unit = decide_promotion(policy(ceiling=D("0.3")), CANDIDATE, [prognosis], [scores], HISTORY)
    assert without_unit.verdict is Verdict.PROMOTE, "the model's margin is for scores without a unit"


def test_without_a_standard_error_a_distance_is_tested_as_a_share_of_its_range() -> None:
    """A mean that is 0.5 pixels worse may come from one patient of 200, whose distance rose from 0 to 100 pixels."""
    assert decide(DISTANCES, "SurfaceDistance", "2.0", "0", error="0").verdict is Verdict.AWAIT_APPROVAL
    wide = policy(ceiling=D(5), margin=D(5))
    assert decide(wide, "SurfaceDistance", "2.0", "0", error="0").verdict is Verdict.PROMOTE


def test_limits_that_a_type_of_task_cannot_have_are_not_applicable() -> None:
    everything = replace(
        policy(),
        recall_floor=D("0.8"),
        recall_margin=D("0.05"),
        saliency_floor=D("0.4"),
        site_inferred=D("0.95"),
        calibration_error=D("0.05"),
    )
    decision = decide(everything, "Dice", "0.9", "0")
    assert (decision.verdict, decision.reason) == (Verdict.PROMOTE, "passed 2 criteria")
    by_result: dict[CriterionResult, set[str]] = {}
    for criterion in decision.criteria:
        by_result.setdefault(criterion.result, set()).add(criterion.name)
    assert by_result == {
        CriterionResult.PASSED: {"floor", "forgetting"},
        CriterionResult.NOT_APPLICABLE: {"recall", "recall_drop", "saliency", "site_inferred", "calibration"},
    }
    reasons = {item.name: item.reason for item in decision.criteria}
    assert reasons["recall"] == "a Segmentation has no recall of classes"
    assert reasons["calibration"] == "a Segmentation has no probabilities of classes"


def test_a_limit_at_the_worst_value_is_not_applicable_and_not_passed() -> None:
    decision = decide(policy(ceiling=D(100), margin=D(100)), "SurfaceDistance", "99", "50")
    assert {item.name: item.result.value for item in decision.criteria if item.name in ("ceiling", "forgetting")} == {
        "ceiling": "not_applicable",
        "forgetting": "not_applicable",
    }
    assert decision.reason == "passed 0 criteria"


def test_of_two_evaluators_the_higher_distance_counts() -> None:
    scores = [
        replace(evaluation("SurfaceDistance", D(value), D("0.1"), D(0), D("0.1")), evaluator=value)
        for value in ("2", "9")
    ]
    decision = decide_promotion(DISTANCES, CANDIDATE, [required("SurfaceDistance")], scores, HISTORY)
    assert (decision.verdict, result_of(decision, "ceiling")) == (Verdict.REJECT, "failed")
    (criterion,) = [item for item in decision.criteria if item.name == "ceiling"]
    assert (criterion.value, criterion.is_limit_highest) == (D(9), True)
