"""Nearest class mean on frozen features: an image gets the class whose mean feature is nearest (Mensink et al. 2013).

The classifier of iCaRL (Rebuffi et al., CVPR 2017) without its stored images: on frozen features the means never move.
"""

from torch import Tensor

from anamnesis.methods.analytic import AnalyticMethod, AnalyticOptions
from anamnesis.methods.base import Needs
from anamnesis.methods.features.feature_statistics import Ridge
from anamnesis.methods.register import register


@register("ncm", AnalyticOptions)
class NCM(AnalyticMethod[AnalyticOptions]):
    """The nearest class mean, by Euclidean distance, on frozen features."""

    needs = Needs(research=True)

    def solved(self, ridge: Ridge) -> Tensor:
        """The means, as a linear classifier."""
        return ridge.nearest_mean()
