"""Why a criterion did not pass, in one sentence for people."""

from decimal import Decimal

from anamnesis.records import MINIMUM_CELL_PATIENTS, CriterionResult, Metric
from anamnesis.registry.gate.required_test_set import RequiredTestSet
from anamnesis.registry.non_inferiority import DropTest

_MANY_LOOKS = 3
"""From here on, the looks before take so much of the test's level that a reader should know it."""


def describe_floor(
    test: RequiredTestSet, score: Metric, metric: str, floor: Decimal, ends: tuple[Decimal | None, Decimal | None]
) -> str:
    """Returns why a score did not pass its floor."""
    low, high = ends
    name = f"{metric} of {test.task.name} at {test.site} is {score.value:.3f}"
    if low is None or high is None:
        return f"{name} without an interval, so it is not certain that it reaches the floor {floor}"
    interval = f"its interval from {low:.3f} to {high:.3f} with {format_patients(score.patients)}"
    if high < floor:
        return f"{name}, and {interval} is below the floor {floor}"
    return f"{name}, and {interval} has the floor {floor} inside"


def describe_drop(test: RequiredTestSet, drop: DropTest, look: int, base: str) -> str:
    """Returns why a drop did not pass its margin."""
    difference, margin = drop.question.difference, drop.question.margin
    reference = "the base version" if difference.reference == base else "the first accepted version"
    name = (
        f"{difference.metric} of {test.task.name} at {test.site} is {difference.drop:.3f} below that of {reference} "
        f"on the same {format_patients(difference.patients)}"
    )
    if drop.result is CriterionResult.FAILED:
        return f"{name}, more than the margin {margin}, and at least {drop.low:.3f}"
    looks = ""
    if look >= _MANY_LOOKS:
        looks = (
            f"; this is candidate {look} on this test set, which makes the test stricter: 'anamnesis testset issue "
            f"--site {test.site} --reason TEXT' gives a new one"
        )
    return (
        f"{name}, which does not exclude a drop of the margin {margin}; the smallest drop that could have been "
        f"excluded is {drop.detectable:.3f}{looks}"
    )


def format_patients(patients: int) -> str:
    """Returns a number of patients in words; small numbers are not published."""
    if not patients:
        return "an unknown number of patients"
    return few_patients() if patients < MINIMUM_CELL_PATIENTS else f"{patients} patients"


def few_patients() -> str:
    """Returns a small number of patients in words."""
    return f"fewer than {MINIMUM_CELL_PATIENTS} patients"
