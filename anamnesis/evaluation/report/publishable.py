"""Removes every number about fewer than 10 patients from a report, and every number that gives one away."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from anamnesis.records import MINIMUM_CELL_PATIENTS, Criterion, Decision, Evaluation, Metric

_ROUNDED = Decimal("0.01")
_HIDDEN = f"the test set has fewer than {MINIMUM_CELL_PATIENTS} patients, so its scores are not shown"


@dataclass(frozen=True, slots=True)
class SmallTestSets:
    """Digests of test sets with too few patients; the same rules as in the report of an approver.

    Attributes:
        hidden: the whole set has fewer than 10 patients: no score is shown.
        rounded: a class has fewer: scores have two places and no intervals.
    """

    hidden: frozenset[str]
    rounded: frozenset[str]

    @classmethod
    def of(cls, evaluations: Iterable[Evaluation]) -> "SmallTestSets":
        """Returns the small test sets among those of some evaluations; an evaluation without counts says nothing."""
        counted = tuple(evaluations)
        hidden = {item.test_set for item in counted if 0 < item.patients < MINIMUM_CELL_PATIENTS}
        rounded = {
            item.test_set
            for item in counted
            if item.class_patients is not None and item.class_patients < MINIMUM_CELL_PATIENTS
        }
        return cls(frozenset(hidden), frozenset(rounded - hidden))

    def publishable_evaluation(self, evaluation: Evaluation) -> Evaluation:
        """Returns what a report may show of an evaluation."""
        if evaluation.test_set in self.hidden:
            return replace(evaluation, metrics={}, differences=(), details=None, operating_point=None)
        if evaluation.test_set in self.rounded:
            metrics = {name: _round_metric(metric) for name, metric in evaluation.metrics.items()}
            return replace(evaluation, metrics=metrics, differences=())
        return evaluation

    def publishable_decision(self, decision: Decision, test_sets: dict[str, str]) -> Decision:
        """Returns a decision without the values that the evaluations do not show.

        Args:
            decision: of the gate.
            test_sets: site -> digest of its test set.
        """
        criteria = tuple(self._publishable_criterion(line, test_sets.get(line.site, "")) for line in decision.criteria)
        return replace(decision, criteria=criteria)

    def _publishable_criterion(self, criterion: Criterion, test_set: str) -> Criterion:
        if test_set in self.hidden:
            return replace(criterion, value=None, low=None, high=None, detectable=None, reason=_HIDDEN)
        if test_set in self.rounded:
            value = None if criterion.value is None else criterion.value.quantize(_ROUNDED)
            return replace(criterion, value=value, low=None, high=None, detectable=None, reason="")
        return criterion


def _round_metric(metric: Metric) -> Metric:
    return replace(metric, value=metric.value.quantize(_ROUNDED), low=None, high=None)
