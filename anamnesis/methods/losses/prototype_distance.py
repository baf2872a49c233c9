"""The losses that tie latent prototypes and images of a class to each other (Li et al., AAAI 2018)."""

from torch import Tensor

from anamnesis.methods.features.latent_prototypes import LatentPrototypes, PrototypeAssignment
from anamnesis.methods.loss_term import ForwardOutput, LossTerm


class PrototypeNearSampleLoss(LossTerm):
    """R1: each prototype has an image of the batch near it, so that it decodes to a plausible image."""

    name = "prototype_near_sample"

    def __init__(self, weight: float, latent_prototypes: LatentPrototypes, assignment: PrototypeAssignment) -> None:
        super().__init__(weight)
        self.latent_prototypes, self.assignment = latent_prototypes, assignment

    def loss(self, output: ForwardOutput) -> Tensor:
        """1/K sum_k min_i |mu_k - e(x_i)|^2, over the prototypes that have an image to be compared with."""
        return mean_finite(self.latent_prototypes.distances(output, self.assignment).amin(0))


class SampleNearPrototypeLoss(LossTerm):
    """R2: each image has a prototype near it, so that a class is one cluster."""

    name = "sample_near_prototype"

    def __init__(self, weight: float, latent_prototypes: LatentPrototypes, assignment: PrototypeAssignment) -> None:
        super().__init__(weight)
        self.latent_prototypes, self.assignment = latent_prototypes, assignment

    def loss(self, output: ForwardOutput) -> Tensor:
        """1/N sum_i min_k |e(x_i) - mu_k|^2."""
        return mean_finite(self.latent_prototypes.distances(output, self.assignment).amin(1))


def mean_finite(values: Tensor) -> Tensor:
    """Returns the mean of those that are not infinite; 0, with a gradient of 0, where all are. NaN stays NaN."""
    is_finite = ~values.isinf()
    return values.masked_fill(~is_finite, 0.0).sum() / is_finite.sum().clamp_min(1)
