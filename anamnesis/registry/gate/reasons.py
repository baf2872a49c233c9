"""Why a criterion did not pass, in one sentence for people."""

from decimal import Decimal

from anamnesis.records import MINIMUM_CELL_PATIENTS, CriterionResult, Metric, metric_properties
from anamnesis.registry.gate.required_test_set import RequiredTestSet
from anamnesis.registry.non_inferiority import DropTest

_MANY_LOOKS = 3
"""From here on, the looks before take so much of the test's level that a reader should know it."""


def describe_limit(
    test: RequiredTestSet, score: Metric, metric: str, limit: Decimal, ends: tuple[Decimal | None, Decimal | None]
) -> str:
    """Returns why a score is not certainly within its floor, or its ceiling where lower is better."""
    low, high = ends
    properties = metric_properties(metric)
    unit = f" {properties.unit}" if properties.unit else ""
    limit_name = f"the {'ceiling' if properties.is_lower_better else 'floor'} {limit}{unit}"
    name = f"{metric} of {test.task.name} at {test.site} is {score.value:.3f}{unit}"
    if low is None or high is None:
        action = "stays within" if properties.is_lower_better else "reaches"
        return f"{name} without an interval, so it is not certain that it {action} {limit_name}"
    interval = f"its interval from {low:.3f} to {high:.3f} with {format_patients(score.patients)}"
    if properties.is_worse(low if properties.is_lower_better else high, limit):
        return f"{name}, and {interval} is {'above' if properties.is_lower_better else 'below'} {limit_name}"
    return f"{name}, and {interval} has {limit_name} inside"


def describe_drop(test: RequiredTestSet, drop: DropTest, look: int, base: str) -> str:
    """Returns why a drop did not pass its margin."""
    difference, margin = drop.question.difference, drop.question.margin
    reference = "the base version" if difference.reference == base else "the first accepted version"
    properties = metric_properties(difference.metric)
    unit = f" {properties.unit}" if properties.unit else ""
    side = "above" if properties.is_lower_better else "below"
    name = (
        f"{difference.metric} of {test.task.name} at {test.site} is {difference.drop:.3f}{unit} {side} that of "
        f"{reference} on the same {format_patients(difference.patients)}"
    )
    loss = "rise" if properties.is_lower_better else "drop"
    if drop.result is CriterionResult.FAILED:
        return f"{name}, more than the margin {margin}{unit}, and at least {drop.low:.3f}{unit}"
    looks = ""
    if look >= _MANY_LOOKS:
        looks = (
            f"; this is candidate {look} on this test set, which makes the test stricter: 'anamnesis testset issue "
            f"--site {test.site} --reason TEXT' gives a new one"
        )
    return (
        f"{name}, which does not exclude a {loss} of the margin {margin}{unit}; the smallest {loss} that could have "
        f"been excluded is {drop.detectable:.3f}{unit}{looks}"
    )


def format_patients(patients: int) -> str:
    """Returns a number of patients in words; small numbers are not published."""
    if not patients:
        return "an unknown number of patients"
    return few_patients() if patients < MINIMUM_CELL_PATIENTS else f"{patients} patients"


def few_patients() -> str:
    """Returns a small number of patients in words."""
    return f"fewer than {MINIMUM_CELL_PATIENTS} patients"
