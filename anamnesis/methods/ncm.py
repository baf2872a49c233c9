"""Nearest class mean on frozen features: an image gets the class with the nearest mean feature (Mensink et al. 2013).

The classifier of iCaRL (Rebuffi et al., CVPR 2017) without its stored images: the means of frozen features are final.
"""

from torch import Tensor

from anamnesis.methods.analytic import AnalyticMethod, AnalyticOptions
from anamnesis.methods.base import MethodCapabilities
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.register import register


@register("ncm", AnalyticOptions)
class NCM(AnalyticMethod[AnalyticOptions]):
    """The nearest class mean, by Euclidean distance, on frozen features."""

    capabilities = MethodCapabilities(research_only=True)

    def solve_head(self, statistics: FeatureStatistics) -> Tensor:
        """Returns the means as a linear classifier."""
        return statistics.solve_nearest_mean()
