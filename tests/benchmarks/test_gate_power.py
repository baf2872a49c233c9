"""What the gate's test of a drop does with updates whose true loss is known."""

import pytest

from anamnesis.records import CriterionResult
from benchmarks.gate_power import simulate_updates


def shares(patients: int, images: int, lost: float, changed: float = 0.01) -> dict[CriterionResult, float]:
    results = simulate_updates(patients, images=images, changed=changed, lost=lost, updates=300)
    return {result: results[result] / results.total() for result in CriterionResult}


@pytest.mark.parametrize(("patients", "images"), [(50, 1), (200, 1), (100, 5), (500, 1)])
def test_at_the_margin_at_most_5_percent_are_promoted(patients: int, images: int) -> None:
    assert shares(patients, images, lost=0.05)[CriterionResult.PASSED] <= 0.065  # 5 % and the chance of 300 updates


def test_without_a_loss_80_percent_are_promoted_with_200_patients() -> None:
    assert shares(200, 1, lost=0.0)[CriterionResult.PASSED] >= 0.8
    assert shares(200, 5, lost=0.0, changed=0.04)[CriterionResult.PASSED] >= 0.9


def test_a_harmless_update_is_held_and_not_rejected_where_patients_are_few() -> None:
    results = shares(50, 1, lost=0.0)
    assert results[CriterionResult.UNDECIDED] >= 0.9
    assert results[CriterionResult.FAILED] <= 0.02


def test_a_large_loss_is_rejected() -> None:
    results = shares(200, 1, lost=0.1)
    assert results[CriterionResult.FAILED] >= 0.8
    assert results[CriterionResult.PASSED] == 0
