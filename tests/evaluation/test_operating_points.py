"""Thresholds of two classes, chosen by sensitivity or by balanced accuracy."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.operating_points import answer_classes, fit_threshold
from anamnesis.records import ThresholdRule


def test_few_patients_get_the_highest_balanced_accuracy() -> None:
    probabilities = torch.tensor([0.05, 0.1, 0.2, 0.3, 0.32, 0.4])
    is_positive, patients = torch.arange(6) > 2, torch.arange(6)
    threshold, rule = fit_threshold(probabilities, is_positive, patients)
    assert (threshold, rule) == (pytest.approx(0.25), ThresholdRule.BALANCED_ACCURACY)
    assert fit_threshold(probabilities, torch.ones(6, dtype=torch.bool), patients) is None
    assert fit_threshold(probabilities + 0.25, is_positive, patients)[0] == 0.5  # already right


def test_the_sensitivity_is_090_of_the_patients_and_not_of_their_images() -> None:
    generator = torch.Generator().manual_seed(0)
    is_positive = torch.arange(400) % 2 == 0
    probabilities = (torch.randn(400, generator=generator) + 1.5 * is_positive).sigmoid() * 0.3  # all below 0.5
    threshold, rule = fit_threshold(probabilities, is_positive, torch.arange(400))
    is_answered = answer_classes(torch.stack([1 - probabilities, probabilities], 1), threshold) == 1
    assert rule is ThresholdRule.SENSITIVITY
    assert 0.9 <= is_answered[is_positive].double().mean() < 0.91
    one_patient = torch.where(is_positive, torch.arange(400) % 20, torch.arange(400))
    assert fit_threshold(probabilities, is_positive, one_patient)[1] is ThresholdRule.BALANCED_ACCURACY


@given(st.integers(0, 10**6), st.sampled_from([12, 70]))
def test_no_other_threshold_is_better(seed: int, cases: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = (torch.rand(cases, generator=generator) * 8).round() / 8  # with ties
    is_positive = torch.arange(cases) % 2 == 0
    threshold, rule = fit_threshold(probabilities, is_positive, torch.arange(cases))

    def quality(limit: float) -> float:
        sensitivity = (probabilities[is_positive] >= limit).double().mean().item()
        specificity = (probabilities[~is_positive] < limit).double().mean().item()
        if rule is ThresholdRule.SENSITIVITY:
            return specificity if sensitivity >= 0.9 else -1
        return sensitivity + specificity

    assert all(quality(threshold) >= quality(step / 16 - 1e-9) - 1e-9 for step in range(17))
