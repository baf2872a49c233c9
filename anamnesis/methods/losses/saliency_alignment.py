"""New images are looked at where the visual prototype of their class says."""

from collections.abc import Mapping

from torch import Tensor

from anamnesis.methods.features.saliency_maps import (
    Distance,
    Normalisation,
    activation_maps,
    head_weights,
    map_distance,
    spread,
)
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.loss_term import Pass, Term


class SaliencyAlignment(Term):
    """Distance of the maps of the batch to those of the prototypes; nothing before the warm-up is over, then ramped."""

    name = "saliency_alignment"

    def __init__(
        self, weight: float, visual: VisualPrototypes, distance: Distance, normalisation: Normalisation, ramp: float
    ) -> None:
        super().__init__(weight)
        self.visual, self.distance, self.normalisation, self.ramp = visual, distance, normalisation, ramp
        self._spread: Tensor | None = None

    def loss(self, run: Pass) -> Tensor | None:
        """1/n sum_i dist(S(x_i, y_i), M_{y_i}) over the images whose class has a prototype, times the ramp."""
        if not self.visual.fixed:
            return None
        weights = head_weights(run.network.head.weight, self.visual.groups, self.visual.settings.evidence)
        found = activation_maps(run.maps, weights[run.targets])
        self._spread = spread(found.detach())
        distance = map_distance(found, self.visual.wanted[run.targets], self.distance, self.normalisation)
        return self.strength(run.step.progress) * distance

    def strength(self, progress: float) -> float:
        """Returns from 0 at the end of the warm-up to 1 when the ramp is over."""
        since = progress - self.visual.settings.warm_up
        return min(1.0, max(since, 0.0) / self.ramp) if self.ramp else 1.0

    def watched(self) -> Mapping[str, Tensor]:
        """How much maps differ between images: the distance can be made small by one map for all of them."""
        return {} if self._spread is None else {f"{self.name}.spread": self._spread}

    def begin(self, network: object, context: object, data: object) -> None:
        """Nothing was watched yet."""
        self._spread = None
