"""Sums of features: site by site equals all at once, against solutions found another way."""

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


def test_means_are_those_of_all_images() -> None:
    ridge = site_by_site()
    means = torch.stack([FEATURES[c == LABELS].double().mean(0) for c in range(6)])
    torch.testing.assert_close(ridge.means, means)


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
    torch.testing.assert_close(loaded.solve_discriminant(1.0)[:5], ridge.solve_discriminant(1.0))
    assert torch.isfinite(FeatureStatistics(7, 2).solve_discriminant(1.0)).all()
