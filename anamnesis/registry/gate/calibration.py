"""Criteria of the probabilities: they are as high as the answers are right, on test sets that can show it."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import Criterion, CriterionResult, Evaluation, Metric, TaskType
from anamnesis.registry.gate.reasons import format_patients
from anamnesis.registry.gate.required_test_set import RequiredTestSet

ERROR_METRIC, SLOPE_METRIC = "CalibrationError", "CalibrationSlope"
LOWEST_SLOPE, HIGHEST_SLOPE = Decimal("0.8"), Decimal("1.25")
MINIMUM_CALIBRATION_PATIENTS = 100
"""Fewer test patients cannot show a calibration error of 0.05: it is said, and not judged."""


def calibration_criteria(limit: Decimal, test: RequiredTestSet, evaluation: Evaluation) -> Iterator[Criterion]:
    """Yields the criteria of the calibration error and of the slope.

    An estimate within the limit passes; it fails where the whole interval is beyond the limit. An interval of a
    hundred patients is about as wide as the limit, so a rule that demands more than the estimate would hold almost
    every update.
    """
    if test.task.type is not TaskType.CLASSIFICATION:
        return
    error, slope = evaluation.metrics.get(ERROR_METRIC), evaluation.metrics.get(SLOPE_METRIC)
    if error is not None:
        yield _judge(test, _counted(error, evaluation), ERROR_METRIC, limit)
    if slope is not None:
        yield _judge(
            test, _counted(slope, evaluation), SLOPE_METRIC, HIGHEST_SLOPE if slope.value > 1 else LOWEST_SLOPE
        )


def _counted(score: Metric, evaluation: Evaluation) -> Metric:
    return score if score.patients else replace(score, patients=evaluation.patients)


def _judge(test: RequiredTestSet, score: Metric, metric: str, limit: Decimal) -> Criterion:
    is_highest = limit > 1 or metric == ERROR_METRIC
    is_within = score.value <= limit if is_highest else score.value >= limit
    near_end = score.low if is_highest else score.high
    is_beyond = near_end is not None and (near_end > limit if is_highest else near_end < limit)
    result = CriterionResult.PASSED if is_within else CriterionResult.FAILED if is_beyond else CriterionResult.UNDECIDED
    reason = "" if is_within else _describe(test, score, metric, limit)
    if score.patients < MINIMUM_CALIBRATION_PATIENTS:
        result, reason = CriterionResult.NOT_APPLICABLE, _describe_few(test, score, metric)
    return Criterion(
        name="calibration",
        site=test.site,
        task=test.task.name,
        value=score.value,
        limit=limit,
        result=result,
        metric=metric,
        low=score.low,
        high=score.high,
        patients=score.patients,
        reason=reason,
    )


def _describe(test: RequiredTestSet, score: Metric, metric: str, limit: Decimal) -> str:
    interval = (
        ""
        if score.low is None or score.high is None
        else f", with an interval from {score.low:.3f} to {score.high:.3f}"
    )
    return (
        f"{metric} of {test.task.name} at {test.site} is {score.value:.3f}{interval}, and the limit is {limit}: its "
        "probabilities are not as high as its answers are right"
    )


def _describe_few(test: RequiredTestSet, score: Metric, metric: str) -> str:
    return (
        f"{metric} of {test.task.name} at {test.site} is not judged with {format_patients(score.patients)}: it takes "
        f"{MINIMUM_CALIBRATION_PATIENTS} test patients"
    )
