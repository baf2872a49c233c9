"""Removes every number about fewer than 10 patients from a report, and every number that gives one away."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from anamnesis.records import MINIMUM_CELL_PATIENTS, Criterion, Decision, Evaluation, Metric

_ROUNDED = Decimal("0.01")


def publishable_evaluation(evaluation: Evaluation) -> Evaluation:
    """Returns what a report may show of an evaluation; the same rules as in the report of an approver.

    Of a test set with fewer than 10 patients: no score. Where a class has fewer: scores of two places, no intervals.
    """
    if is_hidden(evaluation):
        return replace(evaluation, metrics={}, differences=(), details=None, operating_point=None)
    if is_rounded(evaluation):
        metrics = {name: _round_metric(metric) for name, metric in evaluation.metrics.items()}
        return replace(evaluation, metrics=metrics, differences=())
    return evaluation


def publishable_decision(decision: Decision, evaluations: Iterable[Evaluation]) -> Decision:
    """Returns a decision without the values that the evaluations do not show.

    Args:
        decision: of the gate.
        evaluations: of any versions; those of its candidate count.
    """
    by_site = {item.site: item for item in evaluations if item.version == decision.candidate and item.patients}
    criteria = tuple(_publishable_criterion(line, by_site.get(line.site)) for line in decision.criteria)
    return replace(decision, criteria=criteria)


def is_hidden(evaluation: Evaluation) -> bool:
    """Whether the whole test set has fewer than 10 patients."""
    return 0 < evaluation.patients < MINIMUM_CELL_PATIENTS


def is_rounded(evaluation: Evaluation) -> bool:
    """Whether a class of the test set has fewer than 10 patients."""
    return evaluation.class_patients is not None and evaluation.class_patients < MINIMUM_CELL_PATIENTS


def _publishable_criterion(criterion: Criterion, evaluation: Evaluation | None) -> Criterion:
    if evaluation is None or not (is_hidden(evaluation) or is_rounded(evaluation)):
        return criterion
    value = None if is_hidden(evaluation) or criterion.value is None else criterion.value.quantize(_ROUNDED)
    return replace(criterion, value=value, low=None, high=None, detectable=None)


def _round_metric(metric: Metric) -> Metric:
    return replace(metric, value=metric.value.quantize(_ROUNDED), low=None, high=None)
