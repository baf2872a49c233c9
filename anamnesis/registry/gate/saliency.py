"""Criteria of the saliency maps: they show what the network uses, and the part that learns keeps them.

A map that removes no more of the answer than random pixels do is not evidence of anything, so its retention is not
judged. Such an update is not rejected: scores are unharmed, and a person decides.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from anamnesis.records import Criterion, CriterionResult, Evaluation, TaskType
from anamnesis.records.metric_names import DELETION_ADVANTAGE, IOU, IOU_SAME_CLASS_95
from anamnesis.registry.gate.floors import judge_score, not_applicable
from anamnesis.registry.gate.policy import SaliencyLimit
from anamnesis.registry.gate.required_test_set import RequiredTestSet

SALIENCY_METRIC, SAME_CLASS_METRIC, FAITHFULNESS_METRIC = IOU, IOU_SAME_CLASS_95, DELETION_ADVANTAGE


def saliency_criteria(
    limit: Decimal | SaliencyLimit,
    test: RequiredTestSet,
    evaluations: Sequence[Evaluation],
    base_evaluations: Sequence[Evaluation],
) -> Iterator[Criterion]:
    """Yields the criteria of a test set.

    Args:
        limit: lowest passing overlap.
        test: the test set.
        evaluations: of the candidate's maps on it; those without metrics found no maps.
        base_evaluations: of the maps of its base.
    """
    if test.task.type is not TaskType.CLASSIFICATION:
        yield not_applicable("saliency", test, "no saliency maps", SALIENCY_METRIC)
        return
    if limit == 0:
        yield _criterion(test, CriterionResult.NOT_APPLICABLE, "a saliency floor of 0 judges nothing")
        return
    measured = [item for item in evaluations if item.metrics]
    if not evaluations:
        if not test.is_new_site:
            yield _criterion(test, CriterionResult.MISSING)
    elif not measured:
        yield _criterion_without_maps(test, had_maps=any(item.metrics for item in base_evaluations))
    for item in measured:
        yield _judge_maps(limit, test, item)


def _judge_maps(limit: Decimal | SaliencyLimit, test: RequiredTestSet, evaluation: Evaluation) -> Criterion:
    advantage = evaluation.metrics.get(FAITHFULNESS_METRIC)
    if advantage is None:
        reason = f"nothing has measured whether the saliency maps of {test.task.name} at {test.site} show what it uses"
        return _criterion(test, CriterionResult.FAILED, reason, FAITHFULNESS_METRIC)
    if advantage.low is None or advantage.low <= 0:
        measured = f"advantage {advantage.value:.3f}"
        measured += "" if advantage.low is None else f", at least {advantage.low:.3f}"
        reason = (
            f"the saliency maps of {test.task.name} at {test.site} do not show what the network uses: without the "
            f"pixels that they mark, its answer changes no more than without random ones ({measured})"
        )
        return Criterion(
            name="saliency",
            site=test.site,
            task=test.task.name,
            value=advantage.value,
            limit=Decimal(0),
            result=CriterionResult.FAILED,
            metric=FAITHFULNESS_METRIC,
            low=advantage.low,
            high=advantage.high,
            patients=advantage.patients,
            reason=reason,
        )
    if test.is_new_site:
        return _criterion(test, CriterionResult.NOT_APPLICABLE, "the base version has not learned this site")
    overlap, floor = evaluation.metrics.get(SALIENCY_METRIC), _floor(limit, evaluation)
    if overlap is None:
        return _criterion(test, CriterionResult.NOT_APPLICABLE, "no part that learns has maps")
    if floor is None:
        reason = (
            f"the saliency maps of {test.task.name} at {test.site} have no limit SameClass, because no two test images "
            "of a class were compared; declare gate.saliencyFloor as a decimal, or read the maps"
        )
        return _criterion(test, CriterionResult.UNDECIDED, reason)
    return judge_score("saliency", test, overlap, SALIENCY_METRIC, floor)


def _floor(limit: Decimal | SaliencyLimit, evaluation: Evaluation) -> Decimal | None:
    if not isinstance(limit, SaliencyLimit):
        return limit
    measured = evaluation.metrics.get(SAME_CLASS_METRIC)
    return measured.value if measured else None


def _criterion_without_maps(test: RequiredTestSet, had_maps: bool) -> Criterion:
    if not had_maps or test.is_new_site:
        return _criterion(test, CriterionResult.NOT_APPLICABLE, "the network has no saliency maps")
    reason = (
        f"the candidate has no saliency maps of {test.task.name} at {test.site} that show what it uses, and its base "
        "has; a person must decide without them"
    )
    return _criterion(test, CriterionResult.FAILED, reason, FAITHFULNESS_METRIC)


def _criterion(test: RequiredTestSet, result: CriterionResult, reason: str = "", metric: str = "") -> Criterion:
    return Criterion(
        "saliency", test.site, test.task.name, None, None, result, metric or SALIENCY_METRIC, reason=reason
    )
