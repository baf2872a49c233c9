"""Means over patients, exact scores and ranks."""

import random
from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.statistics import average_ranks, make_metric, mean_metrics


def test_a_mean_has_the_interval_of_its_patients() -> None:
    values = torch.rand(40, generator=torch.Generator().manual_seed(1))
    alone = mean_metrics({"IoU": values})["IoU"]
    half = 2.0227 * values.double().std().item() / 40**0.5  # Student's t with 39 degrees of freedom
    assert float(alone.high - alone.value) == pytest.approx(half, abs=1e-4)
    repeated = mean_metrics({"IoU": values.repeat(9)}, [f"p{row % 40}" for row in range(360)])["IoU"]
    assert (repeated.low, repeated.high, repeated.n, repeated.patients) == (alone.low, alone.high, 360, 40)


def test_a_single_patient_has_no_interval() -> None:
    only = mean_metrics({"IoU": torch.tensor([0.5, 0.7])}, ["p", "p"])["IoU"]
    assert (only.value, only.n, only.low, only.high, only.patients) == (Decimal("0.600000"), 2, None, None, 1)


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
