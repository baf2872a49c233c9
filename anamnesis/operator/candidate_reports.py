"""Builds the report about a candidate from the gate's decision and stored evaluations, on a cluster and a laptop.

Numbers about fewer than 10 patients are left out, and so is every number that they could be computed from: where a
class has fewer, the score of the whole test set is rounded and has no interval; where the test set has fewer, no score
is shown at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from anamnesis.operator.api.candidate_report import (
    MAXIMUM_CRITERIA,
    MAXIMUM_RECALLS,
    CandidateReport,
    ClassRecall,
    CriterionLine,
    TaskComparison,
)
from anamnesis.operator.api.scores import Score
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    Criterion,
    CriterionResult,
    Evaluation,
    EvaluationSet,
    Metric,
    PairedDifference,
    TaskType,
    metric_properties,
    recall_metric,
)
from anamnesis.registry import RequiredTestSet
from anamnesis.registry.first_scores import difference_to_first, reference_score
from anamnesis.registry.gate import FORGETTING

Detail = Literal["Full", "Rounded", "Hidden"]
_ROUNDED = Decimal("0.01")
_RESULTS = {
    CriterionResult.PASSED: "Passed",
    CriterionResult.FAILED: "Failed",
    CriterionResult.UNDECIDED: "Undecided",
    CriterionResult.MISSING: "Missing",
    CriterionResult.NOT_APPLICABLE: "NotApplicable",
}


@dataclass(frozen=True, slots=True)
class CandidateScores:
    """What a report is built from.

    Attributes:
        version: digest of the candidate.
        base: digest of the version that it was trained from, or none.
        tests: the test sets that judge it.
        criteria: of the gate's decision.
        evaluations: of the candidate.
        base_evaluations: of its base.
    """

    version: str
    base: str | None
    tests: Sequence[RequiredTestSet]
    criteria: Sequence[Criterion]
    evaluations: Iterable[Evaluation]
    base_evaluations: Iterable[Evaluation]


def report_marker(digest: str) -> str:
    """Returns the part of a log entry's reason that names the report that the person read."""
    return f"[report {digest}]"


def build_candidate_report(scores: CandidateScores) -> CandidateReport:
    """Returns the report."""
    after, before = (_by_test_set(each, scores.tests) for each in (scores.evaluations, scores.base_evaluations))
    comparisons = [_compare(test, before, after, scores.base or "") for test in scores.tests]
    detail_by_site = {comparison.site: comparison.detail for comparison in comparisons}
    listed = sorted(scores.criteria, key=_has_passed)[:MAXIMUM_CRITERIA] if _has_many(scores) else scores.criteria
    fields = {
        "version": scores.version,
        "base": scores.base,
        "tasks": comparisons,
        "criteria": [_criterion_line(each, detail_by_site.get(each.site, "Hidden")) for each in listed],
        "criteria_not_listed": len(scores.criteria) - len(listed),
    }
    return CandidateReport.model_validate(fields, by_name=True, by_alias=False)


def _has_many(scores: CandidateScores) -> bool:
    return len(scores.criteria) > MAXIMUM_CRITERIA


def _has_passed(criterion: Criterion) -> bool:
    return criterion.result in (CriterionResult.PASSED, CriterionResult.NOT_APPLICABLE)


def _by_test_set(evaluations: Iterable[Evaluation], tests: Sequence[RequiredTestSet]) -> dict[str, Evaluation]:
    """Returns test set -> the evaluation that the gate uses: of several evaluators, the one with the worst score."""
    by_test_set: dict[str, Evaluation] = {}
    metrics = {test.test_set: test.task.primary_metric for test in tests}
    for evaluation in evaluations:
        metric = metrics.get(evaluation.test_set, "")
        if (
            evaluation.name == FORGETTING
            and evaluation.evaluation_set is EvaluationSet.FROZEN
            and metric in evaluation.metrics
        ):
            worst = by_test_set.setdefault(evaluation.test_set, evaluation)
            if metric_properties(metric).is_worse(evaluation.metrics[metric].value, worst.metrics[metric].value):
                by_test_set[evaluation.test_set] = evaluation
    return by_test_set


def _compare(
    test: RequiredTestSet,
    before: Mapping[str, Evaluation],
    after: Mapping[str, Evaluation],
    base: str,
) -> TaskComparison:
    metric, evaluations = test.task.primary_metric, (before.get(test.test_set), after.get(test.test_set))
    measured = [evaluation for evaluation in evaluations if evaluation]
    detail = _detail(test, measured)
    old_score, new_score = (_score(evaluation, metric, detail) for evaluation in evaluations)
    first = difference_to_first(evaluations[1], metric, base) if evaluations[1] else None
    drop = _shown(first.drop if first else None, detail)
    recalls = _recalls(test, *evaluations) if detail == "Full" else []
    patients = min((evaluation.patients for evaluation in measured), default=0)
    fields = {
        "site": test.site,
        "task": test.task.name,
        "metric": metric,
        "test_set": test.test_set,
        "role": "New" if test.is_new_site else "Earlier",
        "patients": patients if patients >= MINIMUM_CELL_PATIENTS else 0,
        "before": old_score,
        "after": new_score,
        "first_score": _first_score(new_score, first, detail),
        "forgetting": _text(drop),
        "recalls": recalls,
        "classes_without_recall": _class_count(test) - len(recalls),
        "detail": detail,
    }
    return TaskComparison.model_validate(fields, by_name=True, by_alias=False)


def _first_score(score: Score | None, first: PairedDifference | None, detail: Detail) -> str | None:
    drop = _shown(first.drop if first else None, detail)
    return (
        None
        if score is None or first is None or drop is None
        else str(reference_score(score.value, replace(first, drop=drop)))
    )


def _detail(test: RequiredTestSet, evaluations: Sequence[Evaluation]) -> Detail:
    """How much may be shown without a number about fewer than 10 patients."""
    if any(evaluation.patients < MINIMUM_CELL_PATIENTS for evaluation in evaluations):
        return "Hidden"
    classes = test.task.classes if test.task.type is TaskType.CLASSIFICATION else ()
    names = [recall_metric(name) for name in classes]
    is_class_hidden = any(name not in evaluation.metrics for evaluation in evaluations for name in names)
    return "Rounded" if is_class_hidden else "Full"


def _score(evaluation: Evaluation | None, metric: str, detail: Detail) -> Score | None:
    if evaluation is None or metric not in evaluation.metrics or detail == "Hidden":
        return None
    measured = evaluation.metrics[metric]
    if detail == "Rounded":
        return _to_score(replace(measured, value=measured.value.quantize(_ROUNDED), low=None, high=None))
    return _to_score(measured)


def _to_score(metric: Metric) -> Score:
    fields = {
        "value": str(metric.value),
        "low": _text(metric.low),
        "high": _text(metric.high),
        "cases": metric.n,
        "patients": metric.patients if metric.patients >= MINIMUM_CELL_PATIENTS else 0,
    }
    return Score.model_validate(fields, by_name=True, by_alias=False)


def _recalls(test: RequiredTestSet, before: Evaluation | None, after: Evaluation | None) -> list[ClassRecall]:
    recalls = []
    for name in test.task.classes if test.task.type is TaskType.CLASSIFICATION else ():
        old, new = (
            evaluation.metrics.get(recall_metric(name)) if evaluation else None for evaluation in (before, after)
        )
        if old or new:
            scores = {"before": _to_score(old) if old else None, "after": _to_score(new) if new else None}
            recalls.append(ClassRecall.model_validate({"label": name, **scores}, by_name=True, by_alias=False))
    if len(recalls) <= MAXIMUM_RECALLS:
        return recalls
    return sorted(recalls, key=_recall_change)[:MAXIMUM_RECALLS]


def _recall_change(recall: ClassRecall) -> Decimal:
    """How much a class gained; a class that was not measured before counts by its recall."""
    after = recall.after.value if recall.after else Decimal(0)
    return after - (recall.before.value if recall.before else Decimal(0))


def _class_count(test: RequiredTestSet) -> int:
    return len(test.task.classes) if test.task.type is TaskType.CLASSIFICATION else 0


def _criterion_line(criterion: Criterion, detail: Detail) -> CriterionLine:
    is_full = detail == "Full"
    fields = {
        "name": criterion.name,
        "site": criterion.site,
        "task": criterion.task,
        "value": _text(_shown(criterion.value, detail)),
        "limit": _text(criterion.limit),
        "result": _RESULTS[criterion.result],
        "metric": criterion.metric,
        "reference": criterion.reference or None,
        "low": _text(criterion.low) if is_full else None,
        "high": _text(criterion.high) if is_full else None,
        "patients": criterion.patients if criterion.patients >= MINIMUM_CELL_PATIENTS else 0,
        "detectable": _text(criterion.detectable) if is_full else None,
        "reason": criterion.reason if is_full else "",
    }
    return CriterionLine.model_validate(fields, by_name=True, by_alias=False)


def _shown(value: Decimal | None, detail: Detail) -> Decimal | None:
    """Returns a number as the report may show it."""
    if value is None or detail == "Hidden":
        return None
    return value.quantize(_ROUNDED) if detail == "Rounded" else value


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
