"""Analytic class-incremental learning: ridge regression in closed form on frozen features.

Zhuang et al., NeurIPS 2022 (arXiv 2205.14922). One pass over each site's images; what it knows after any number of
sites is what joint ridge regression over all their images would know, whatever their order. Reconstructed from the sums
that the paper's recursion stands for; a grid of cells takes the place of its random feature expansion.
"""

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from anamnesis.methods.analytic import AnalyticMethod, AnalyticOptions
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.register import register
from anamnesis.records import InputError


class HeadSolver(StrEnum):
    """Which answer in closed form."""

    RIDGE = "ridge"
    """Regression of one-hot labels."""
    DISCRIMINANT = "discriminant"
    """Gaussian classes with one covariance and equal priors (Hayes and Kanan 2020)."""


@dataclass(frozen=True, slots=True)
class ACILOptions(AnalyticOptions):
    """Options of ``acil``.

    Attributes:
        features: where the frozen backbone comes from: ``first_task``, ``random`` or ``file``.
        file: for ``file``, a safetensors file with the backbone's weights, as a path or ``s3://bucket/prefix/name``.
        grid: cells along each side that the feature maps are averaged over.
        strength: of the pull to zero, added to the Gram matrix's diagonal.
        rule: ``ridge`` or ``discriminant``.
    """

    strength: float = 10.0
    rule: HeadSolver = HeadSolver.RIDGE

    def __post_init__(self) -> None:
        AnalyticOptions.__post_init__(self)
        if not self.strength > 0:
            raise InputError(f"acil: expected strength above 0, found {self.strength}")


@register("acil", ACILOptions)
class ACIL(AnalyticMethod[ACILOptions]):
    """Ridge regression on frozen features: forgets nothing, and learns no feature after the first site."""

    def solve_head(self, statistics: FeatureStatistics) -> Tensor:
        """As the options say."""
        if self.options.rule is HeadSolver.DISCRIMINANT:
            return statistics.solve_discriminant(self.options.strength)
        return statistics.solve_ridge(self.options.strength)
