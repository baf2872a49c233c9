"""Criteria with a lowest or highest passing score: primary metric, recall of each class, share of right sites."""

from collections.abc import Iterator
from decimal import Decimal

from anamnesis.records import (
    Criterion,
    CriterionResult,
    Evaluation,
    Metric,
    TaskType,
    metric_properties,
    recall_metric,
)
from anamnesis.records.metric_names import SITE_INFERRED
from anamnesis.registry.gate.policy import TaskLimits
from anamnesis.registry.gate.reasons import describe_limit, few_patients
from anamnesis.registry.gate.required_test_set import RequiredTestSet
from anamnesis.registry.non_inferiority import judge_limit, one_sided_ends


def floor_criteria(limits: TaskLimits, test: RequiredTestSet, evaluation: Evaluation) -> Iterator[Criterion]:
    """Yields the criteria of one evaluation: the primary metric, and the share of images answered as of their site."""
    metric = test.task.primary_metric
    name, limit = score_limit(limits, test)
    if limit is not None:
        yield judge_score(name, test, evaluation.metrics[metric], metric, limit)
    elif limits.floor is not None:
        yield _undeclared_ceiling(test, evaluation.metrics[metric])
    inferred = evaluation.metrics.get(SITE_INFERRED)
    if limits.site_inferred is None:
        return
    if test.task.type is not TaskType.CLASSIFICATION:
        yield not_applicable("site_inferred", test, "no classes to answer with", SITE_INFERRED)
    elif inferred is not None:
        yield judge_score("site_inferred", test, inferred, SITE_INFERRED, limits.site_inferred)


def score_limit(limits: TaskLimits, test: RequiredTestSet) -> tuple[str, Decimal | None]:
    """Returns the criterion of the primary metric and its limit: a ceiling where lower is better, else a floor."""
    return ("ceiling", limits.ceiling) if test.task.metric.is_lower_better else ("floor", limits.floor)


def recall_criteria(floor: Decimal | None, test: RequiredTestSet, evaluation: Evaluation) -> Iterator[Criterion]:
    """Yields a criterion for each class; without a declared floor one that only a person can decide."""
    if test.task.type is not TaskType.CLASSIFICATION:
        yield not_applicable("recall", test, "no recall of classes")
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


def judge_score(name: str, test: RequiredTestSet, score: Metric, metric: str, limit: Decimal) -> Criterion:
    """Returns the criterion of a score with a limit; a limit at the worst possible value judges nothing."""
    properties = metric_properties(metric)
    low, high = one_sided_ends(score, properties)
    result, reason = judge_limit(score, limit, properties), ""
    if not properties.is_worse(properties.worst_value, limit):
        result, reason = CriterionResult.NOT_APPLICABLE, f"a limit of {limit} for {metric} judges nothing"
    elif result is not CriterionResult.PASSED:
        reason = describe_limit(test, score, metric, limit, (low, high))
    return Criterion(
        name=name,
        site=test.site,
        task=test.task.name,
        value=score.value,
        limit=limit,
        result=result,
        metric=metric,
        low=low,
        high=high,
        patients=score.patients,
        reason=reason,
    )


def not_applicable(name: str, test: RequiredTestSet, lacking_part: str, metric: str = "") -> Criterion:
    """Returns the criterion of a limit that a type of task cannot have.

    Args:
        name: of the criterion.
        test: the test set.
        lacking_part: completes the sentence "a Segmentation has ...".
        metric: that the criterion would measure.
    """
    reason = f"a {test.task.type.value} has {lacking_part}"
    return Criterion(name, test.site, test.task.name, None, None, CriterionResult.NOT_APPLICABLE, metric, reason=reason)


def _undeclared_ceiling(test: RequiredTestSet, score: Metric) -> Criterion:
    metric, unit = test.task.primary_metric, test.task.metric.unit
    reason = (
        f"gate.tasks declares no ceiling{f' in {unit}' if unit else ''} for task {test.task.name} at {test.site}, and "
        f"lower is better for {metric}, so nothing says which value is too high; a person must read the score, or "
        "declare the ceiling"
    )
    return Criterion(
        name="ceiling",
        site=test.site,
        task=test.task.name,
        value=score.value,
        limit=None,
        result=CriterionResult.UNDECIDED,
        metric=metric,
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
