"""Closed-form classifiers: site by site equals all at once, against solutions found another way."""

import pytest
import torch

from anamnesis.methods.features.feature_statistics import FeatureStatistics, linear_logits

GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(60, 7, generator=GENERATOR) + 3
TASKS = ((0, 1), (2, 3, 4), (5,))
LABELS = torch.arange(60) % 6


def site_by_site(tasks: tuple[tuple[int, ...], ...] = TASKS) -> FeatureStatistics:
    ridge = FeatureStatistics(7)
    for task in tasks:
        ridge.grow(max(task) + 1)
        chosen = torch.isin(LABELS, torch.tensor(task))
        for part in torch.split(torch.arange(60)[chosen], 8):
            ridge.add(FEATURES[part], LABELS[part])
    return ridge


def jointly(strength: float) -> torch.Tensor:
    """Centred ridge regression on all images at once, by an augmented least-squares problem."""
    wide, targets = FEATURES.double(), torch.nn.functional.one_hot(LABELS).double()
    centre, level = wide.mean(0), targets.mean(0)
    rows = torch.cat([wide - centre, strength**0.5 * torch.eye(7, dtype=torch.float64)])
    weights = torch.linalg.lstsq(rows, torch.cat([targets - level, torch.zeros(7, 6, dtype=torch.float64)])).solution.T
    return torch.cat([weights, (level - weights @ centre)[:, None]], dim=1)


def recursively(strength: float) -> torch.Tensor:
    """The recursion of ACIL (its equations 12 and 13) on the inverse, batch by batch, bias shrunk as the others."""
    inverse, weights = torch.eye(8, dtype=torch.float64) / strength, torch.zeros(8, 6, dtype=torch.float64)
    for part in torch.split(torch.arange(60), 8):
        wide = torch.cat([FEATURES[part].double(), torch.ones(len(part), 1, dtype=torch.float64)], dim=1)
        target = torch.nn.functional.one_hot(LABELS[part], 6).double()
        gain = inverse @ wide.T @ torch.linalg.inv(torch.eye(len(part)) + wide @ inverse @ wide.T)
        inverse = inverse - gain @ wide @ inverse
        weights = weights + inverse @ wide.T @ (target - wide @ weights)
    return weights.T


@pytest.mark.parametrize("strength", [0.1, 100.0])
def test_three_tasks_one_after_another_equal_one_joint_regression(strength: float) -> None:
    torch.testing.assert_close(site_by_site().solve_ridge(strength), jointly(strength), rtol=0, atol=1e-6)
    assert not torch.allclose(site_by_site(TASKS[1:]).solve_ridge(strength), jointly(strength), atol=1e-3)


def test_it_is_the_recursion_of_the_paper() -> None:
    ridge = site_by_site()
    shrunk = torch.linalg.solve(ridge.gram + 0.5 * torch.eye(8), ridge.sums.T).T
    torch.testing.assert_close(recursively(0.5), shrunk, rtol=0, atol=1e-6)


def test_the_bias_is_not_shrunk() -> None:
    weights = site_by_site().solve_ridge(1e12)
    torch.testing.assert_close(weights[:, -1], torch.full((6,), 1 / 6, dtype=torch.float64), atol=1e-6, rtol=0)
    assert weights[:, :-1].abs().max() < 1e-9


def test_means_and_nearest_mean() -> None:
    ridge = site_by_site()
    means = torch.stack([FEATURES[c == LABELS].double().mean(0) for c in range(6)])
    torch.testing.assert_close(ridge.means, means)
    nearest = torch.cdist(FEATURES.double(), means).argmin(1)
    assert torch.equal(linear_logits(FEATURES.double(), ridge.solve_nearest_mean()).argmax(1), nearest)


def test_the_discriminant_follows_the_shared_covariance() -> None:
    ridge = site_by_site()
    means = torch.stack([FEATURES[c == LABELS].double().mean(0) for c in range(6)])
    moved = FEATURES.double() - means[LABELS]
    covariance = (moved.T @ moved + 0.3 * torch.eye(7)) / 60
    inverse = torch.linalg.inv(covariance)
    away = FEATURES.double()[:, None] - means
    expected = torch.einsum("nkd,de,nke->nk", away, inverse, away).argmin(1)
    assert torch.equal(linear_logits(FEATURES.double(), ridge.solve_discriminant(0.3)).argmax(1), expected)


def test_a_state_comes_back_and_an_empty_class_is_stable() -> None:
    ridge, loaded = site_by_site(TASKS[:2]), FeatureStatistics(7)
    loaded.load_state_dict({name: value.clone() for name, value in ridge.state_dict().items()})
    loaded.grow(9)
    assert loaded.solve_ridge(1.0)[5:].abs().max() == 0
    torch.testing.assert_close(loaded.solve_ridge(1.0)[:5], ridge.solve_ridge(1.0))
    assert torch.isfinite(FeatureStatistics(7, 2).solve_ridge(1.0)).all()
