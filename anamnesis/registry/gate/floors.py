"""Criteria with a lowest passing score: the primary metric, the recall of each class, the share of right sites."""

from collections.abc import Iterator
from decimal import Decimal

from anamnesis.records import Criterion, CriterionResult, Evaluation, Metric, TaskType, recall_metric
from anamnesis.registry.gate.policy import TaskLimits
from anamnesis.registry.gate.reasons import describe_floor, few_patients
from anamnesis.registry.gate.required_test_set import RequiredTestSet
from anamnesis.registry.non_inferiority import judge_floor, one_sided_ends

SITE_INFERRED_METRIC = "SiteInferred"


def floor_criteria(limits: TaskLimits, test: RequiredTestSet, evaluation: Evaluation) -> Iterator[Criterion]:
    """Yields the criteria of one evaluation: the primary metric, and the share of images answered as of their site."""
    if limits.floor is not None:
        metric = test.task.primary_metric
        yield judge_score("floor", test, evaluation.metrics[metric], metric, limits.floor)
    inferred = evaluation.metrics.get(SITE_INFERRED_METRIC)
    if limits.site_inferred is not None and inferred is not None:
        yield judge_score("site_inferred", test, inferred, SITE_INFERRED_METRIC, limits.site_inferred)


def recall_criteria(floor: Decimal | None, test: RequiredTestSet, evaluation: Evaluation) -> Iterator[Criterion]:
    """Yields a criterion for each class; without a declared floor one that only a person can decide."""
    if test.task.type is not TaskType.CLASSIFICATION:
        return
    if floor is None:
        reason = (
            f"gate.recallFloor is not declared for task {test.task.name} at {test.site}, so nothing says which recall "
            "of a class is too low; a person must read the recalls, or declare the floor"
        )
        yield Criterion("recall", test.site, test.task.name, None, None, CriterionResult.UNDECIDED, reason=reason)
        return
    for name in test.task.classes:
        recall = evaluation.metrics.get(recall_metric(name))
        if recall is not None:
            yield judge_score("recall", test, recall, recall_metric(name), floor)
        elif floor > 0:
            yield _unpublished_recall(test, name, floor)


def judge_score(name: str, test: RequiredTestSet, score: Metric, metric: str, floor: Decimal) -> Criterion:
    """Returns the criterion of a score from 0 to 1 with a floor; a floor of 0 is always reached."""
    result = CriterionResult.PASSED if floor <= 0 else judge_floor(score, floor)
    low, high = one_sided_ends(score)
    reason = "" if result is CriterionResult.PASSED else describe_floor(test, score, metric, floor, (low, high))
    return Criterion(
        name=name,
        site=test.site,
        task=test.task.name,
        value=score.value,
        limit=floor,
        result=result,
        metric=metric,
        low=low,
        high=high,
        patients=score.patients,
        reason=reason,
    )


def _unpublished_recall(test: RequiredTestSet, class_name: str, floor: Decimal) -> Criterion:
    return Criterion(
        name="recall",
        site=test.site,
        task=test.task.name,
        value=None,
        limit=floor,
        result=CriterionResult.UNDECIDED,
        metric=recall_metric(class_name),
        reason=f"class {class_name} of {test.task.name} at {test.site} has {few_patients()}, so its recall is unknown",
    )
