"""Analytic class-incremental learning: ridge regression in closed form on frozen features.

Zhuang et al., NeurIPS 2022 (arXiv 2205.14922). One pass over each site's images; after any number of sites, in any
order, the result equals joint ridge regression over all their images. Reconstructed from the sums behind the paper's
recursion; a grid of cells replaces its random feature expansion.
"""

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from anamnesis.methods.analytic import AnalyticMethod, AnalyticOptions
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.register import register
from anamnesis.records.option_checks import check_bounds, positive


class HeadSolver(StrEnum):
    """Which head in closed form."""

    RIDGE = "ridge"
    """Regression of one-hot labels."""
    DISCRIMINANT = "discriminant"
    """Gaussian classes with one covariance and equal priors (Hayes and Kanan 2020)."""


@dataclass(frozen=True, slots=True)
class ACILOptions(AnalyticOptions):
    """Options of ``acil``.

    Attributes:
        features: origin of the frozen backbone: ``first_task`` or ``random``. With ``network.frozen: all`` the first
            site trains nothing: the features are those of ``network.weights``.
        grid: cells along each side that the feature maps are averaged over.
        strength: the ridge, added to the diagonal of the Gram matrix.
        rule: the head: ``ridge`` or ``discriminant``.
    """

    strength: float = positive(10.0)
    rule: HeadSolver = HeadSolver.RIDGE

    def __post_init__(self) -> None:
        check_bounds("acil", self)
        AnalyticOptions.__post_init__(self)


@register("acil", ACILOptions)
class ACIL(AnalyticMethod[ACILOptions]):
    """Ridge regression on frozen features: forgets nothing, and learns no feature after the first site."""

    def solve_head(self, statistics: FeatureStatistics) -> Tensor:
        """Returns the head that the options choose."""
        if self.options.rule is HeadSolver.DISCRIMINANT:
            return statistics.solve_discriminant(self.options.strength)
        return statistics.solve_ridge(self.options.strength)
