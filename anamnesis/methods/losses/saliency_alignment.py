"""New images are looked at where the visual prototype of their class says."""

from collections.abc import Mapping

from torch import Tensor

from anamnesis.methods.features.saliency_maps import (
    MapDistance,
    MapNormalisation,
    activation_maps,
    head_weights,
    map_dispersion,
    map_distance,
)
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.loss_term import ForwardOutput, LossTerm


class SaliencyAlignmentLoss(LossTerm):
    """Distance of the maps of the batch to those of the prototypes; nothing before the warm-up is over, then ramped."""

    name = "saliency_alignment"

    def __init__(
        self,
        weight: float,
        visual_prototypes: VisualPrototypes,
        distance: MapDistance,
        normalisation: MapNormalisation,
        ramp_share: float,
    ) -> None:
        super().__init__(weight)
        self.visual_prototypes, self.distance, self.normalisation, self.ramp_share = (
            visual_prototypes,
            distance,
            normalisation,
            ramp_share,
        )
        self._dispersion: Tensor | None = None

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """1/n sum_i dist(S(x_i, y_i), M_{y_i}) over the images whose class has a prototype, times the ramp."""
        if not self.visual_prototypes.is_fixed:
            return None
        weights = head_weights(
            output.network.head.weight,
            self.visual_prototypes.task_groups,
            self.visual_prototypes.settings.saliency_target,
        )
        saliency_maps = activation_maps(output.feature_maps, weights[output.targets])
        self._dispersion = map_dispersion(saliency_maps.detach())
        distance = map_distance(
            saliency_maps, self.visual_prototypes.target_maps[output.targets], self.distance, self.normalisation
        )
        return self.ramp_factor(output.step.progress) * distance

    def ramp_factor(self, progress: float) -> float:
        """Returns from 0 at the end of the warm-up to 1 when the ramp is over."""
        elapsed_share = progress - self.visual_prototypes.settings.warm_up_share
        return min(1.0, max(elapsed_share, 0.0) / self.ramp_share) if self.ramp_share else 1.0

    def log_metrics(self) -> Mapping[str, Tensor]:
        """How much maps differ between images: the distance can be made small by one map for all of them."""
        return {} if self._dispersion is None else {f"{self.name}.spread": self._dispersion}

    def begin_task(self, network: object, context: object, data: object) -> None:
        """Nothing was watched yet."""
        self._dispersion = None
