"""Criteria with a largest passing drop: the candidate against its base and the first version, patient by patient."""

from collections.abc import Container, Iterable, Iterator
from decimal import Decimal

from anamnesis.records import Criterion, CriterionResult, Evaluation, is_recall_metric
from anamnesis.registry.gate.policy import TaskLimits
from anamnesis.registry.gate.reasons import describe_drop
from anamnesis.registry.gate.required_test_set import RequiredTestSet
from anamnesis.registry.non_inferiority import DropQuestion, DropTest, judge_drops

RANKING_METRIC = "AUROC"
_EVERY_DROP = 1
"""A score from 0 to 1 cannot fall by more."""


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
    if _is_judged(limits.margin) and (primary_metric, base) not in measured:
        yield _missing("forgetting", test, primary_metric, base)
    if _is_judged(limits.recall_margin):
        for metric in sorted(filter(is_recall_metric, metrics)):
            if (metric, base) not in measured:
                yield _missing("recall_drop", test, metric, base)


def _is_judged(margin: Decimal | None) -> bool:
    return margin is not None and margin < _EVERY_DROP


def _criterion(test: RequiredTestSet, drop: DropTest, look: int, base: str) -> Criterion:
    difference, margin = drop.question.difference, drop.question.margin
    result = CriterionResult.PASSED if margin >= _EVERY_DROP else drop.result
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
        reason="" if result is CriterionResult.PASSED else describe_drop(test, drop, look, base),
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
        reason=f"the drop of {metric} of {test.task.name} at {test.site} against the base version",
    )
