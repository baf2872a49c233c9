"""Linear classifiers from sums, on standardised features, and the choice of their strength without images.

Features are standardised with the mean and deviation of all sites' sums. The strength is added to the diagonal of the
covariance, in units of the features' variance. Ridge regression: one-hot targets, the bias not shrunk (Hoerl and
Kennard 1970). Discriminant: Gaussian classes of one covariance and equal priors.

The strength has the least generalised cross-validation error of the ridge regression (Golub, Heath and Wahba 1979),
which follows from the sums over all sites. Sums for folds of patients would allow cross-validation itself; they are not
kept, because a fold has a fifth of a site's patients, and a version would publish sums over a few of them.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.features.feature_statistics import FeatureStatistics


class HeadKind(StrEnum):
    """Which classifier."""

    RIDGE = "ridge"
    """Regression of one-hot labels."""
    DISCRIMINANT = "discriminant"
    """Gaussian classes with one covariance and equal priors."""
    NEAREST_MEAN = "nearest_mean"
    """The nearest class mean, by Euclidean distance."""


STRENGTHS = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""The strengths to choose from."""
IMAGES_OF_A_PATIENT = 4
_SMALLEST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class StandardisedSums:
    """Means over the images of all sites, in features of mean 0 and deviation 1.

    Attributes:
        mean: [D] of the features before.
        deviation: [D]; 1 for a constant feature.
        scatter: [D, D] mean outer product.
        class_sums: [K, D] sum of the features of each class, over the number of images.
        shares: [K] share of each class of the images.
    """

    mean: Tensor
    deviation: Tensor
    scatter: Tensor
    class_sums: Tensor
    shares: Tensor

    @classmethod
    def of(cls, statistics: FeatureStatistics) -> "StandardisedSums":
        """Returns those of the images behind some sums."""
        count = statistics.gram[-1, -1].clamp_min(1)
        mean = statistics.gram[-1, :-1] / count
        covariance = statistics.gram[:-1, :-1] / count - torch.outer(mean, mean)
        variance = covariance.diagonal()
        is_constant = variance <= _SMALLEST_VARIANCE * mean.square()
        deviation = torch.where(is_constant, 1.0, variance).sqrt()
        return cls(
            mean,
            deviation,
            scatter=covariance / torch.outer(deviation, deviation),
            class_sums=(statistics.sums[:, :-1] - statistics.sums[:, -1:] * mean) / deviation / count,
            shares=statistics.sums[:, -1] / count,
        )

    @property
    def class_means(self) -> Tensor:
        """[K, D]; zeros, the mean of all, for a class without images."""
        return self.class_sums / self.shares.clamp_min(_SMALLEST_VARIANCE)[:, None]

    def restore(self, weights: Tensor, bias: Tensor) -> Tensor:
        """Returns weights [K, D + 1] on the features themselves, the bias last."""
        restored = weights / self.deviation
        return torch.cat([restored, (bias - restored @ self.mean)[:, None]], dim=1)


def solve_head(statistics: FeatureStatistics, kind: HeadKind, strength: float) -> Tensor:
    """Returns weights [K, D + 1] on the features, the bias last, in float64.

    Args:
        statistics: over all images.
        kind: which classifier.
        strength: added to the diagonal of the covariance, in units of the features' variance.
    """
    sums = StandardisedSums.of(statistics)
    means = sums.class_means
    if kind is HeadKind.NEAREST_MEAN:
        return sums.restore(means, -0.5 * means.square().sum(1))
    penalty = strength * torch.eye(len(sums.scatter)).to(sums.scatter)
    if kind is HeadKind.RIDGE:
        return sums.restore(torch.linalg.solve(sums.scatter + penalty, sums.class_sums.T).T, sums.shares)
    within = sums.scatter - means.T @ sums.class_sums
    weights = torch.linalg.solve(within + penalty, means.T).T
    return sums.restore(weights, -0.5 * (weights * means).sum(1))


def cross_validate(statistics: FeatureStatistics) -> dict[float, float]:
    """Returns the generalised cross-validation error of the ridge regression for each of ``STRENGTHS``.

    mean squared residual / (1 - effective parameters / N)^2; infinite where there are more parameters than N. N is the
    number of images, of which at most ``IMAGES_OF_A_PATIENT`` count for each patient: they are alike.

    Args:
        statistics: over all images and their patients.
    """
    sums = StandardisedSums.of(statistics)
    eigenvalues, vectors = torch.linalg.eigh(sums.scatter)
    eigenvalues, projected = eigenvalues.clamp_min(0), sums.class_sums @ vectors
    count = max(min(float(statistics.gram[-1, -1]), IMAGES_OF_A_PATIENT * float(statistics.patients)), 1)
    variance = float((sums.shares - sums.shares.square()).sum())
    errors = {}
    for strength in STRENGTHS:
        weights = projected / (eigenvalues + strength)
        residual = variance - float((2 * weights * projected - weights.square() * eigenvalues).sum())
        parameters = 1 + float((eigenvalues / (eigenvalues + strength)).sum())
        freedom = 1 - parameters / count
        errors[strength] = residual / freedom**2 if freedom > 0 else torch.inf
    return errors
