"""The report about a candidate: what it says, and what it never says."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from anamnesis.operator.api.candidate_report import MAXIMUM_CRITERIA, MAXIMUM_RECALLS, CandidateReport
from anamnesis.operator.candidate_reports import CandidateScores, build_candidate_report
from anamnesis.records import (
    Criterion,
    CriterionResult,
    Evaluation,
    Metric,
    PairedDifference,
    Task,
    TaskType,
    digest_bytes,
    recall_metric,
)
from anamnesis.registry import RequiredTestSet

PASSED, FAILED, NOT_APPLICABLE = CriterionResult.PASSED, CriterionResult.FAILED, CriterionResult.NOT_APPLICABLE
CANDIDATE, BASE, FIRST, TEST_SET = (digest_bytes(name) for name in (b"candidate", b"base", b"first", b"test set"))
CLASSES = ("normal", "pneumonia")
TASK = Task("pneumonia", TaskType.CLASSIFICATION, CLASSES, "AUROC")
TEST = RequiredTestSet("guangzhou", TASK, TEST_SET, is_new_site=False)
CRITERIA = (
    Criterion("floor", "guangzhou", "pneumonia", value=Decimal("0.853211"), limit=Decimal("0.8"), result=PASSED),
    Criterion("forgetting", "guangzhou", "pneumonia", value=Decimal("0.046789"), limit=Decimal("0.03"), result=FAILED),
    Criterion("saliency", "guangzhou", "pneumonia", None, limit=Decimal("0.4"), result=NOT_APPLICABLE),
)


def evaluation(version: str, value: str, recalls: dict[str, str], patients: int = 60) -> Evaluation:
    score = Metric(Decimal(value), 80, Decimal("0.811111"), Decimal("0.933333"), patients)
    drops = ((BASE, "0.046789"), (FIRST, "0.066789")) if version == CANDIDATE else ()
    differences = tuple(
        PairedDifference(reference, "AUROC", Decimal(drop), Decimal("0.01"), Decimal(patients), patients)
        for reference, drop in drops
    )
    recall_metrics = {recall_metric(name): Metric(Decimal(text), 40) for name, text in recalls.items()}
    return Evaluation(
        version, "guangzhou", task="pneumonia", test_set=TEST_SET, evaluator=digest_bytes(b"e"), name="forgetting",
        metrics={"AUROC": score, **recall_metrics}, patients=patients, differences=differences,
    )  # fmt: skip


RECALLS = {"normal": "0.900000", "pneumonia": "0.700000"}
SCORES = CandidateScores(
    version=CANDIDATE,
    base=BASE,
    tests=(TEST,),
    criteria=CRITERIA,
    evaluations=(evaluation(CANDIDATE, "0.853211", RECALLS),),
    base_evaluations=(evaluation(BASE, "0.900000", {"normal": "0.800000", "pneumonia": "0.950000"}),),
)


def test_it_has_scores_before_and_after_with_intervals_recalls_and_criteria() -> None:
    report = build_candidate_report(SCORES)
    (task,) = report.tasks
    assert task.before
    assert task.after
    assert (task.before.value, task.after.value, task.after.cases) == (Decimal("0.900000"), Decimal("0.853211"), 80)
    assert (task.after.low, task.after.high) == (Decimal("0.811111"), Decimal("0.933333"))
    assert (task.forgetting, task.first_score, task.patients) == (Decimal("0.066789"), Decimal("0.920000"), 60)
    changes = {
        each.label: (each.before and each.before.value, each.after and each.after.value) for each in task.recalls
    }
    assert changes["pneumonia"] == (Decimal("0.950000"), Decimal("0.700000"))
    assert [criterion.result for criterion in report.criteria] == ["Passed", "Failed", "NotApplicable"]


def test_its_digest_is_that_of_its_document_and_another_score_gives_another() -> None:
    report = build_candidate_report(SCORES)
    assert CandidateReport.model_validate(json.loads(json.dumps(report.document()))).digest == report.digest
    changed = replace(SCORES, evaluations=(evaluation(CANDIDATE, "0.853212", RECALLS),))
    assert build_candidate_report(changed).digest != report.digest
    stricter = replace(SCORES, criteria=(replace(CRITERIA[0], limit=Decimal("0.81")), *CRITERIA[1:]))
    assert build_candidate_report(stricter).digest != report.digest


def test_a_small_class_leaves_no_exact_number_behind() -> None:
    """Exact scores and intervals of a test set give away how many of three patients were recognised."""
    scores = replace(
        SCORES,
        evaluations=(evaluation(CANDIDATE, "0.853211", {}),),
        base_evaluations=(evaluation(BASE, "0.901111", {}),),
    )
    report = build_candidate_report(scores)
    (task,) = report.tasks
    assert (task.detail, task.recalls, task.classes_without_recall) == ("Rounded", (), 2)
    assert task.before
    assert task.after
    assert task.after.low is None
    assert (task.before.value, task.after.value, task.forgetting) == (Decimal("0.90"), Decimal("0.85"), Decimal("0.07"))
    text = json.dumps(report.document())
    assert [number for number in ("853211", "901111", "046789", "066789", "811111", "933333") if number in text] == []
    assert [criterion.result for criterion in report.criteria] == ["Passed", "Failed", "NotApplicable"]


@pytest.mark.parametrize("patients", [0, 1, 9])
def test_a_small_test_set_shows_results_and_no_number(patients: int) -> None:
    report = build_candidate_report(replace(SCORES, evaluations=(evaluation(CANDIDATE, "0.853211", {}, patients),)))
    (task,) = report.tasks
    shown = (task.before, task.after, task.first_score, task.forgetting, task.recalls, task.patients)
    assert (task.detail, shown) == ("Hidden", (None, None, None, None, (), 0))
    assert [(each.value, each.result) for each in report.criteria][:2] == [(None, "Passed"), (None, "Failed")]


def test_of_two_evaluators_the_worse_score_is_shown_as_at_the_gate() -> None:
    better = replace(evaluation(CANDIDATE, "0.990000", RECALLS), evaluator=digest_bytes(b"another"))
    for evaluations in ((*SCORES.evaluations, better), (better, *SCORES.evaluations)):
        (task,) = build_candidate_report(replace(SCORES, evaluations=evaluations)).tasks
        assert task.after
        assert task.after.value == Decimal("0.853211")


def test_of_many_classes_those_that_lost_most_are_listed() -> None:
    names = tuple(f"class{number:03d}" for number in range(100))
    test = replace(TEST, task=replace(TASK, classes=names))
    old = evaluation(BASE, "0.9", dict.fromkeys(names, "0.500000"))
    new = evaluation(CANDIDATE, "0.9", {name: f"0.{number:03d}000" for number, name in enumerate(names, 400)})
    (task,) = build_candidate_report(replace(SCORES, tests=(test,), evaluations=(new,), base_evaluations=(old,))).tasks
    assert [each.label for each in task.recalls] == list(names[:MAXIMUM_RECALLS])
    assert task.classes_without_recall == 100 - MAXIMUM_RECALLS


def test_the_largest_report_fits_into_a_config_map() -> None:
    names = tuple(f"class{number:03d}".ljust(63, "x") for number in range(256))
    tests = [
        replace(TEST, site=f"site{number:02d}".ljust(63, "x"), test_set=digest_bytes(bytes([number])))
        for number in range(64)
    ]
    tests = [replace(test, task=replace(TASK, name="t" * 63, classes=names)) for test in tests]

    def evaluations(version: str) -> tuple[Evaluation, ...]:
        recalls = {
            recall_metric(name): Metric(Decimal("0.123456"), 4000, Decimal("0.1"), Decimal("0.2")) for name in names
        }
        metrics = {"AUROC": Metric(Decimal("0.123456"), 4000), **recalls}
        return tuple(
            replace(evaluation(version, "0.9", {}), site=test.site, test_set=test.test_set, metrics=metrics)
            for test in tests
        )

    undecided = replace(CRITERIA[0], result=CriterionResult.UNDECIDED, reason="x" * 600, reference=BASE)
    report = build_candidate_report(
        replace(
            SCORES,
            tests=tests,
            criteria=[CRITERIA[0]] * 9000 + [undecided] * 300,
            evaluations=evaluations(CANDIDATE),
            base_evaluations=evaluations(BASE),
        )
    )
    assert len(report.tasks[0].recalls) == MAXIMUM_RECALLS
    assert (len(report.criteria), report.criteria_not_listed) == (MAXIMUM_CRITERIA, 9300 - MAXIMUM_CRITERIA)
    assert {each.result for each in report.criteria} == {"Undecided"}, "what did not pass comes first"
    assert len(json.dumps(report.document())) < 1_000_000
