"""Intervals and ranks: published values, coverage, agreement with naive forms."""

import random
from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.statistics import (
    auroc_interval,
    average_ranks,
    bootstrap,
    make_metric,
    mean_metrics,
    wilson,
    wilson_mean,
)


def test_wilson_matches_newcombes_published_examples() -> None:
    # Newcombe, Stat. Med. 17 (1998) 857, table I, method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_proportion_and_stays_within_bounds(case: tuple[int, int]) -> None:
    low, high = wilson(*case)
    assert 0 <= low <= case[0] / case[1] <= high <= 1
    assert low < high


def test_interval_of_a_mean_of_one_proportion_is_wilsons() -> None:
    assert wilson_mean([7], [9]) == pytest.approx(wilson(7, 9))


def test_interval_of_a_mean_narrows_with_more_classes() -> None:
    one_class, four_classes = wilson_mean([8], [10]), wilson_mean([8] * 4, [10] * 4)
    assert four_classes[1] - four_classes[0] == pytest.approx((one_class[1] - one_class[0]) / 2)


def test_auroc_interval_has_a_width_at_perfect_separation() -> None:
    low, high = auroc_interval(1.0, 10, 10)
    assert high == pytest.approx(1.0)
    assert 0.7 < low < 0.95


def test_auroc_interval_is_symmetric() -> None:
    low, high = auroc_interval(0.8, 12, 30)
    mirrored = auroc_interval(0.2, 12, 30)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_auroc_interval_covers_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = float(torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(2**-0.5)))  # of N(1,1) against N(0,1)
    positives = torch.randn(400, 20, 1, generator=generator) + 1
    negatives = torch.randn(400, 1, 30, generator=generator)
    areas = (positives > negatives).double().mean((1, 2)).tolist()
    covered = sum(low <= truth <= high for low, high in (auroc_interval(area, 20, 30) for area in areas))
    assert 0.92 <= covered / 400 <= 0.99


def test_bootstrap_covers_the_mean_and_repeats_with_its_seed() -> None:
    values = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    first = bootstrap(values, torch.Generator().manual_seed(2))
    assert first == bootstrap(values, torch.Generator().manual_seed(2))
    assert first != bootstrap(values, torch.Generator().manual_seed(3))
    half = 1.96 * values[:, 0].std().item() / 200**0.5
    mean = values[:, 0].mean().item()
    assert first[0] == pytest.approx((mean - half, mean + half), abs=0.01)


def test_bootstrap_draws_in_chunks_without_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anamnesis.evaluation.statistics._MAXIMUM_DRAWS", 1000)
    values = torch.arange(100.0)[:, None]
    low, high = bootstrap(values, torch.Generator().manual_seed(0))[0]
    assert low == pytest.approx(49.5 - 5.66, abs=1)
    assert high == pytest.approx(49.5 + 5.66, abs=1)


def test_a_single_case_has_no_interval() -> None:
    only = mean_metrics({"IoU": torch.tensor([0.5])}, torch.Generator())["IoU"]
    assert (only.value, only.n, only.low, only.high) == (Decimal("0.500000"), 1, None, None)


def test_metrics_have_six_places_and_no_negative_zero() -> None:
    assert str(make_metric(1 / 3, 5, (-1e-12, 0.5)).value) == "0.333333"
    assert str(make_metric(1 / 3, 5, (-1e-12, 0.5)).low) == "0.000000"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_ranks_share_ties(values: list[int]) -> None:
    naive = [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]
    assert average_ranks(torch.tensor(values)).tolist() == naive


def test_ranks_of_a_batch_are_those_of_its_rows() -> None:
    rows = [[random.Random(seed).randint(0, 3) for _ in range(9)] for seed in range(4)]
    batch = average_ranks(torch.tensor(rows))
    assert all(torch.equal(batch[i], average_ranks(torch.tensor(row))) for i, row in enumerate(rows))
