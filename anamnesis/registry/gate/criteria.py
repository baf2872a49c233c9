"""The criteria of a candidate on one test set, from all evaluations of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from anamnesis.records import Criterion, CriterionResult, Evaluation, InputError, Task, Version
from anamnesis.registry.gate.calibration import calibration_criteria
from anamnesis.registry.gate.drops import drop_criteria, missing_drops, undeclared_margin
from anamnesis.registry.gate.floors import floor_criteria, recall_criteria, score_limit
from anamnesis.registry.gate.policy import GatePolicy, TaskLimits
from anamnesis.registry.gate.required_test_set import (
    FORGETTING,
    SALIENCY,
    RequiredTestSet,
    evaluation_label,
    evaluations_of,
)
from anamnesis.registry.gate.saliency import saliency_criteria

_SEVERITY = (
    CriterionResult.FAILED,
    CriterionResult.UNDECIDED,
    CriterionResult.MISSING,
    CriterionResult.PASSED,
    CriterionResult.NOT_APPLICABLE,
)


@dataclass(frozen=True, slots=True)
class TestSetCriteria:
    """The criteria on one test set.

    Attributes:
        criteria: one for each name, metric and reference version.
        missing: what is missing, in words.
        is_judged: whether a limit applies to the scores on this test set.
    """

    __test__ = False  # its name begins like that of a test

    criteria: tuple[Criterion, ...]
    missing: tuple[str, ...]
    is_judged: bool


def judge_test_set(
    policy: GatePolicy, test: RequiredTestSet, candidate: Version, evaluations: Sequence[Evaluation]
) -> TestSetCriteria:
    """Returns the criteria of a candidate on one test set; of several evaluators the worst result counts.

    Args:
        policy: the limits.
        test: the test set.
        candidate: the candidate.
        evaluations: of the candidate, and of its base.

    Raises:
        InputError: an evaluation lacks the primary metric.
    """
    is_new_site = test.is_new_site or candidate.base is None
    limits = _applicable_limits(policy, test.task, is_new_site)
    own_evaluations = [item for item in evaluations if item.version == candidate.digest]
    scores = [item for item in evaluations_of(own_evaluations, test, FORGETTING) if item.metrics]
    criteria: list[Criterion] = []
    missing: list[str] = []
    if scores:
        criteria += _judge_scores(limits, test, candidate.base or "", scores)
        if not is_new_site and policy.margin is not None and limits.margin is None:
            criteria.append(undeclared_margin(test))
    else:
        missing.append(evaluation_label(test, FORGETTING))
        if score_limit(limits, test)[1] is not None:
            criteria.append(_missing_score(test, limits))
    if limits.saliency_floor is not None:
        criteria += saliency_criteria(
            limits.saliency_floor,
            replace(test, is_new_site=is_new_site),
            evaluations_of(own_evaluations, test, SALIENCY),
            evaluations_of((item for item in evaluations if item.version == candidate.base), test, SALIENCY),
        )
        if any((item.name, item.result) == (SALIENCY, CriterionResult.MISSING) for item in criteria):
            missing.append(evaluation_label(test, SALIENCY))
    missing += [item.reason for item in criteria if item.result is CriterionResult.MISSING and item.reason]
    return TestSetCriteria(_worst(criteria), tuple(missing), is_judged=limits != TaskLimits())


def _applicable_limits(policy: GatePolicy, task: Task, is_new_site: bool) -> TaskLimits:
    """Returns the limits; without the drops where no version has learned the site before."""
    limits = policy.limits_for(task)
    if is_new_site:
        limits = replace(limits, margin=None, recall_margin=None)
    return replace(limits, site_inferred=None) if policy.site_required else limits


def _judge_scores(
    limits: TaskLimits, test: RequiredTestSet, base: str, scores: Sequence[Evaluation]
) -> Iterable[Criterion]:
    for item in scores:
        if test.task.primary_metric not in item.metrics:
            raise InputError(
                f"{evaluation_label(test, FORGETTING)}: the evaluation has no metric {test.task.primary_metric}; "
                f"set primaryMetric of the task to one of {', '.join(sorted(item.metrics))}"
            )
        yield from floor_criteria(limits, test, item)
        yield from recall_criteria(limits.recall_floor, test, item)
        yield from drop_criteria(limits, test, item, base)
        if limits.calibration_error is not None:
            yield from calibration_criteria(limits.calibration_error, test, item)
    measured = {(item.metric, item.reference) for score in scores for item in score.differences}
    yield from missing_drops(limits, test, {metric for item in scores for metric in item.metrics}, measured, base)


def _missing_score(test: RequiredTestSet, limits: TaskLimits) -> Criterion:
    name, limit = score_limit(limits, test)
    return Criterion(
        name=name,
        site=test.site,
        task=test.task.name,
        value=None,
        limit=limit,
        result=CriterionResult.MISSING,
        metric=test.task.primary_metric,
    )


def _worst(criteria: Iterable[Criterion]) -> tuple[Criterion, ...]:
    """Returns for each name, metric and reference the worst criterion: by its result, then by its value."""
    worst: dict[tuple[str, str, str], Criterion] = {}
    for criterion in criteria:
        key = (criterion.name, criterion.metric, criterion.reference)
        if key not in worst or _badness(criterion) < _badness(worst[key]):
            worst[key] = criterion
    return tuple(worst.values())


def _badness(criterion: Criterion) -> tuple[object, ...]:
    value = float(criterion.value or 0)
    return _SEVERITY.index(criterion.result), -value if criterion.is_limit_highest else value, criterion.patients
