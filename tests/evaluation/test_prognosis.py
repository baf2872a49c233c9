"""Concordance and Brier score: closed forms, and intervals over patients."""

from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.prognosis import (
    FollowUp,
    c_index,
    concordance_difference,
    concordance_metric,
    integrated_brier_score,
)


def cohort(patients: int = 60, images: int = 1) -> tuple[torch.Tensor, FollowUp]:
    """Risks that are right on average, and what happened; the images of a patient have one time."""
    generator = torch.Generator().manual_seed(0)
    risk = torch.randn(patients, generator=generator).repeat_interleave(images)
    days = torch.empty(patients).exponential_(generator=generator).repeat_interleave(images) * (-risk).exp() * 100
    event = torch.rand(patients, generator=generator).repeat_interleave(images) < 0.7
    names = [f"p{number}" for number in range(patients) for _ in range(images)]
    return risk, FollowUp(days, event, names)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.booleans()), min_size=1, max_size=12))
def test_c_index_agrees_with_a_loop(cases: list[tuple[int, int, bool]]) -> None:
    concordant, pairs = 0.0, 0
    for risk, days, event in cases:
        for other_risk, other_days, other_event in cases:
            if event and (days < other_days or (days == other_days and not other_event)):
                pairs += 1
                concordant += 1.0 if risk > other_risk else 0.5 if risk == other_risk else 0.0
    risk, days, event = (torch.tensor(column) for column in zip(*cases, strict=True))
    assert c_index(risk, days, event) == (pytest.approx(concordant / pairs) if pairs else None)


def test_the_interval_of_the_c_index_is_the_jackknife_over_patients() -> None:
    risk, truth = cohort(images=2)
    metric = concordance_metric(risk, truth)
    assert metric is not None
    assert (metric.n, metric.patients) == (120, 60)
    left_out = torch.tensor(
        [
            c_index(*(column[torch.tensor([name != patient for name in truth.patients])] for column in columns))
            for patient in dict.fromkeys(truth.patients)
            for columns in [(risk, truth.days, truth.event)]
        ],
        dtype=torch.float64,
    )
    error = (left_out - left_out.mean()).square().sum().mul(59 / 60).sqrt().item()
    assert float(metric.high - metric.value) == pytest.approx(2.001 * error, rel=1e-3)
    assert metric.low < Decimal(str(c_index(risk, truth.days, truth.event))) < metric.high


def test_without_a_comparable_pair_there_is_no_c_index() -> None:
    risk, truth = cohort()
    censored = FollowUp(truth.days, torch.zeros_like(truth.event), truth.patients)
    assert concordance_metric(risk, censored) is None
    assert concordance_difference("base", risk, risk, censored) is None


def test_worse_risks_have_a_drop_above_zero() -> None:
    risk, truth = cohort()
    same = concordance_difference("base", risk, risk, truth)
    worse = concordance_difference("base", risk, -risk, truth)
    assert same is not None
    assert worse is not None
    assert (same.drop, same.standard_error) == (0, 0)
    assert worse.drop > 2 * worse.standard_error > 0


def test_the_brier_score_without_censoring_is_the_mean_squared_error_of_the_curve() -> None:
    days = torch.tensor([10.0, 20.0, 40.0])
    truth = FollowUp(days, torch.ones(3, dtype=torch.bool), ["a", "b", "c"])
    times = torch.tensor([15.0, 30.0])
    survival = torch.tensor([[0.2, 0.1], [0.6, 0.3], [0.9, 0.8]])
    alive = (days[:, None] > times).double()
    squares = (survival.double() - alive).square()
    assert torch.allclose(integrated_brier_score(survival, times, truth), squares.mean(1))
    assert integrated_brier_score(alive, times, truth).sum() == 0


def test_a_censored_case_counts_until_it_leaves_and_the_rest_is_weighted() -> None:
    truth = FollowUp(torch.tensor([10.0, 20.0, 40.0]), torch.tensor([False, True, True]), ["a", "b", "c"])
    parts = integrated_brier_score(torch.full((3, 2), 0.5), torch.tensor([15.0, 16.0]), truth)
    # two of three are uncensored at these times, so those who remain count 3/2
    assert parts.tolist() == pytest.approx([0, 0.375, 0.375])


def test_a_curve_against_the_truth_scores_worse() -> None:
    _, truth = cohort()
    times = torch.linspace(10, 100, 5)
    alive = (truth.days[:, None] > times).double()
    scores = [integrated_brier_score(curve, times, truth).mean() for curve in (alive, 0.5 + 0 * alive, 1 - alive)]
    assert scores == sorted(scores)
    assert scores[0] < scores[1] < scores[2]
