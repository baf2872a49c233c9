"""Intervals over patients hold the truth in 93 to 97 % of test sets, also where a patient's images are alike."""

import math
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from anamnesis.evaluation.patient_intervals import (
    area_intervals,
    effective_patients,
    estimate_areas,
    estimate_shares,
    index_patients,
    mean_interval,
    share_intervals,
)

NORMAL = NormalDist()


def draw_scores(
    patients: int, images: int, agreement: float, shift: float, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns scores [count, N], whether a case is positive [N], its patient [N]; 1 to ``images`` of each."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(1, images + 1, (patients,), generator=generator)
    patient_index = torch.arange(patients).repeat_interleave(numbers)
    is_positive = patient_index % 2 == 1
    shared, own = (
        torch.randn(count, size, generator=generator, dtype=torch.float64) for size in (patients, len(patient_index))
    )
    noise = math.sqrt(agreement) * shared[:, patient_index] + math.sqrt(1 - agreement) * own
    return noise + shift * is_positive, is_positive, patient_index


def coverage(ends: tuple[Tensor, Tensor], truth: float) -> float:
    low, high = ends
    return float(((low <= truth) & (truth <= high)).double().mean())


@pytest.mark.parametrize("shift", [1.2, 2.4])
@pytest.mark.parametrize(
    ("patients", "images", "agreement"),
    [(50, 1, 0.0), (50, 5, 0.6), (50, 20, 0.3), (200, 10, 0.2), (200, 20, 0.8), (2000, 3, 0.5)],
)
def test_95_percent_intervals_hold_the_truth(patients: int, images: int, agreement: float, shift: float) -> None:
    count = max(100, min(1000, 400_000 // (patients * images)))
    scores, is_positive, patient_index = draw_scores(patients, images, agreement, shift, count)
    is_right = (scores > shift / 2) == is_positive
    classes = torch.stack([is_positive, ~is_positive])
    recalls = estimate_shares(is_right[:, None], classes, patient_index)
    areas = estimate_areas(scores, is_positive.expand_as(scores), patient_index)
    accuracies = estimate_shares(is_right, torch.ones_like(is_right), patient_index)
    accuracy, area = NORMAL.cdf(shift / 2), NORMAL.cdf(shift / math.sqrt(2))
    held = {
        "accuracy": coverage(share_intervals(accuracies), accuracy),
        "recall": coverage(share_intervals(recalls), accuracy),
        "balanced accuracy": coverage(mean_interval(recalls, share_intervals(recalls)), accuracy),
        "AUROC": coverage(area_intervals(areas), area),
    }
    chance = 3 * math.sqrt(0.05 * 0.95 / count)  # of the simulation
    assert all(0.93 - chance <= value <= min(0.97 + chance, 0.995) for value in held.values()), held


def test_intervals_of_images_would_not_hold_it() -> None:
    scores, is_positive, patient_index = draw_scores(30, 20, 0.8, 1.2, 300)
    is_right = (scores > 0.6) == is_positive
    images = torch.arange(len(patient_index))
    ends = share_intervals(estimate_shares(is_right, torch.ones_like(is_right), images))
    assert coverage(ends, NORMAL.cdf(0.6)) < 0.75


def test_a_share_of_single_images_has_the_interval_of_wilson() -> None:
    # Newcombe, Stat. Med. 17 (1998) 857, table I, method 3, at 1.96; Student's t is 1.969 for 263 patients
    is_right = torch.arange(263) < 81
    estimates = estimate_shares(is_right, torch.ones_like(is_right), torch.arange(263))
    low, high = share_intervals(estimates)
    assert (float(low), float(high)) == pytest.approx((0.2553, 0.3662), abs=4e-4)


@pytest.mark.parametrize("right", [0, 1])
def test_no_error_and_only_errors_leave_a_width_of_patients(right: int) -> None:
    patient_index = torch.arange(20).repeat_interleave(10)
    is_right = torch.full((200,), bool(right))
    estimates = estimate_shares(is_right, torch.ones_like(is_right), patient_index)
    low, high = share_intervals(estimates)
    assert float(effective_patients(estimates)) == pytest.approx(20)
    assert 0.15 < float(high - low) < 0.2
    assert float(high if right else 1 - low) == 1


def test_copies_of_images_say_nothing_new() -> None:
    scores, is_positive, patient_index = draw_scores(60, 1, 0.0, 1.2, 1)
    copied = [values.repeat_interleave(7, -1) for values in (scores, is_positive, patient_index)]
    once, often = (
        area_intervals(estimate_areas(values, positive.expand_as(values), patients))
        for values, positive, patients in ((scores, is_positive, patient_index), copied)
    )
    assert torch.allclose(torch.cat(once), torch.cat(often), atol=1e-6)


def test_perfect_separation_leaves_a_width() -> None:
    is_positive = torch.arange(20) % 2 == 1
    low, high = area_intervals(estimate_areas(is_positive.double(), is_positive, torch.arange(20)))
    assert float(high) == pytest.approx(1)
    assert 0.6 < float(low) < 0.95


def test_the_interval_of_a_mean_of_equal_estimates_is_theirs() -> None:
    scores, is_positive, patient_index = draw_scores(60, 3, 0.5, 1.2, 1)
    both = torch.cat([scores, -scores]), torch.stack([is_positive, ~is_positive])
    estimates = estimate_areas(*both, patient_index)
    ends = area_intervals(estimates)
    assert torch.allclose(torch.stack(mean_interval(estimates, ends)), torch.stack([end[0] for end in ends]))


def test_patients_are_numbered_in_their_order() -> None:
    assert index_patients(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
