"""Criteria with a largest passing drop: the candidate against its base and the first version, patient by patient."""

from collections.abc import Container, Iterable, Iterator
from decimal import Decimal

from anamnesis.records import (
    Criterion,
    CriterionResult,
    Evaluation,
    TaskType,
    is_recall_metric,
    metric_properties,
)
from anamnesis.records.metric_names import AUROC, RECALL
from anamnesis.registry.gate.floors import not_applicable
from anamnesis.registry.gate.policy import TaskLimits
from anamnesis.registry.gate.reasons import describe_drop
from anamnesis.registry.gate.required_test_set import RequiredTestSet
from anamnesis.registry.non_inferiority import DropQuestion, DropTest, judge_drops

RANKING_METRIC = AUROC


def drop_criteria(limits: TaskLimits, test: RequiredTestSet, evaluation: Evaluation, base: str) -> Iterator[Criterion]:
    """Yields the criteria of one evaluation: primary metric, AUROC and recalls, against each reference version.

    Args:
        limits: of the task.
        test: the test set.
        evaluation: of the candidate on it.
        base: digest of the candidate's base, for the reasons.
    """
    questions = [
        DropQuestion(difference, margin)
        for difference in evaluation.differences
        if (margin := limits.recall_margin if is_recall_metric(difference.metric) else limits.margin) is not None
        and (is_recall_metric(difference.metric) or difference.metric in (test.task.primary_metric, RANKING_METRIC))
    ]
    for drop in judge_drops(questions, evaluation.look):
        yield _criterion(test, drop, evaluation.look, base)
    if limits.recall_margin is not None and test.task.type is not TaskType.CLASSIFICATION:
        yield not_applicable("recall_drop", test, "no recall of classes")


def undeclared_margin(test: RequiredTestSet) -> Criterion:
    """Returns the criterion of a metric with a unit without a margin of its own; only a person can decide it."""
    metric, unit = test.task.primary_metric, test.task.metric.unit
    reason = (
        f"gate.tasks declares no margin in {unit} for task {test.task.name} at {test.site}, so nothing says which loss "
        f"of {metric} is too large; a person must read the difference, or declare the margin"
    )
    return Criterion(
        "forgetting", test.site, test.task.name, None, None, CriterionResult.UNDECIDED, metric, reason=reason
    )


def missing_drops(
    limits: TaskLimits, test: RequiredTestSet, metrics: Iterable[str], measured: Container[tuple[str, str]], base: str
) -> Iterator[Criterion]:
    """Yields a criterion for each drop against the base that nothing has measured.

    Args:
        limits: of the task.
        test: the test set.
        metrics: names of the candidate's scores on it.
        measured: (metric, digest of the reference version) of each difference.
        base: digest of the candidate's base.
    """
    primary_metric = test.task.primary_metric
    if _is_judged(limits.margin, primary_metric) and (primary_metric, base) not in measured:
        yield _missing("forgetting", test, primary_metric, base)
    if _is_judged(limits.recall_margin, RECALL):
        for metric in sorted(filter(is_recall_metric, metrics)):
            if (metric, base) not in measured:
                yield _missing("recall_drop", test, metric, base)


def _is_judged(margin: Decimal | None, metric: str) -> bool:
    """Returns whether a score can fall by more than the margin."""
    return margin is not None and margin < metric_properties(metric).width


def _criterion(test: RequiredTestSet, drop: DropTest, look: int, base: str) -> Criterion:
    difference, margin = drop.question.difference, drop.question.margin
    result, reason = drop.result, ""
    if not _is_judged(margin, difference.metric):
        result, reason = CriterionResult.NOT_APPLICABLE, f"a margin of {margin} for {difference.metric} judges nothing"
    elif result is not CriterionResult.PASSED:
        reason = describe_drop(test, drop, look, base)
    return Criterion(
        name="recall_drop" if is_recall_metric(difference.metric) else "forgetting",
        site=test.site,
        task=test.task.name,
        value=difference.drop,
        limit=margin,
        result=result,
        metric=difference.metric,
        reference=difference.reference,
        low=drop.low,
        high=drop.high,
        patients=difference.patients,
        detectable=drop.detectable,
        reason=reason,
    )


def _missing(name: str, test: RequiredTestSet, metric: str, base: str) -> Criterion:
    return Criterion(
        name=name,
        site=test.site,
        task=test.task.name,
        value=None,
        limit=None,
        result=CriterionResult.MISSING,
        metric=metric,
        reference=base,
        reason=f"the difference of {metric} of {test.task.name} at {test.site} to the base version",
    )
