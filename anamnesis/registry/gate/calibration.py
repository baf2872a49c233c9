"""Criteria of the probabilities: they are as high as the answers are right, on test sets that can show it."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import Criterion, CriterionResult, Evaluation, Metric, TaskType
from anamnesis.records.metric_names import CALIBRATION_ERROR, CALIBRATION_SLOPE
from anamnesis.registry.gate.floors import not_applicable
from anamnesis.registry.gate.reasons import format_patients
from anamnesis.registry.gate.required_test_set import RequiredTestSet

LOWEST_SLOPE, HIGHEST_SLOPE = Decimal("0.8"), Decimal("1.25")
MINIMUM_CALIBRATION_PATIENTS = 100
"""Fewer test patients cannot show a calibration error of 0.05: it is said, and not judged."""


def calibration_criteria(limit: Decimal, test: RequiredTestSet, evaluation: Evaluation) -> Iterator[Criterion]:
    """Yields the criteria of the calibration error and of the slope.

    An interval of a hundred patients is about as wide as the limit, so a rule that demands more than the estimate would
    hold almost every update. An error beyond the limit is only shown where its interval begins at 0, because right
    probabilities give such an error too. It needs a person where it is not chance that there is an error, and fails
    where the whole interval is beyond the limit; then too a person decides, because the answers are unharmed.

    The slope is shown and decides nothing: it says in which direction probabilities are off, and is far from 1 without
    harm where nearly all answers are right, or where a temperature comes from few patients.
    """
    if test.task.type is not TaskType.CLASSIFICATION:
        yield not_applicable("calibration", test, "no probabilities of classes", CALIBRATION_ERROR)
        return
    error, slope = evaluation.metrics.get(CALIBRATION_ERROR), evaluation.metrics.get(CALIBRATION_SLOPE)
    if error is not None:
        yield _criterion(test, _counted(error, evaluation), CALIBRATION_ERROR, limit, _judge_error(error, limit))
    if slope is not None:
        slope_limit = HIGHEST_SLOPE if slope.value > 1 else LOWEST_SLOPE
        is_within = LOWEST_SLOPE <= slope.value <= HIGHEST_SLOPE
        result = CriterionResult.PASSED if is_within else CriterionResult.NOT_APPLICABLE
        yield _criterion(test, _counted(slope, evaluation), CALIBRATION_SLOPE, slope_limit, result)


def _counted(score: Metric, evaluation: Evaluation) -> Metric:
    return score if score.patients else replace(score, patients=evaluation.patients)


def _judge_error(error: Metric, limit: Decimal) -> CriterionResult:
    if error.value <= limit:
        return CriterionResult.PASSED
    if error.low == 0:
        return CriterionResult.NOT_APPLICABLE
    return CriterionResult.FAILED if error.low is not None and error.low > limit else CriterionResult.UNDECIDED


def _criterion(test: RequiredTestSet, score: Metric, metric: str, limit: Decimal, result: CriterionResult) -> Criterion:
    reason = "" if result is CriterionResult.PASSED else _describe(test, score, metric, limit)
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
    if metric == CALIBRATION_ERROR:
        meaning = "the probabilities that it gives are not the shares of right answers"
    elif score.value < LOWEST_SLOPE:
        meaning = "its probabilities are nearer to 0 and 1 than its answers allow"
    else:
        meaning = "its probabilities are nearer to even than its answers allow"
    name = f"{metric} of {test.task.name} at {test.site}"
    return f"{name} is {score.value:.3f}{interval}, and the limit is {limit}: {meaning}"


def _describe_few(test: RequiredTestSet, score: Metric, metric: str) -> str:
    return (
        f"{metric} of {test.task.name} at {test.site} is not judged with {format_patients(score.patients)}: it takes "
        f"{MINIMUM_CALIBRATION_PATIENTS} test patients"
    )
