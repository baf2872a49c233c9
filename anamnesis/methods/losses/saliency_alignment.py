"""Saliency alignment: the network looks at new images where the visual prototype of their class points."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from anamnesis.methods.features.saliency_maps import (
    MapDistance,
    MapNormalisation,
    SaliencyTarget,
    activation_maps,
    map_dispersion,
    map_distance,
)
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.records.option_checks import check_bounds, not_negative, share


@dataclass(frozen=True, slots=True)
class SaliencyOptions:
    """Saliency maps and their alignment with the visual prototypes.

    Attributes:
        weight: of the distance between saliency maps and the visual prototype of their class.
        target: the score that a saliency map explains: ``contrast`` with the classes of the task, or ``class``.
        distance: between maps: ``cosine``, ``l1`` or ``raw``.
        normalisation: of maps that are almost empty: ``masked``, ``smooth`` or ``signed``.
        ramp: share of the training over which the weight grows from 0 to its full value, after the warm-up.
    """

    weight: float = not_negative(0.1)
    target: SaliencyTarget = SaliencyTarget.CONTRAST
    distance: MapDistance = MapDistance.COSINE
    normalisation: MapNormalisation = MapNormalisation.MASKED
    ramp: float = share(0.25)

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.saliency", self)


class SaliencyAlignmentLoss(LossTerm):
    """Distance of the maps of the batch to those of the prototypes; none during the warm-up, then ramped."""

    name = "saliency_alignment"

    def __init__(self, options: SaliencyOptions, visual_prototypes: VisualPrototypes) -> None:
        super().__init__(options.weight)
        self.options, self.visual_prototypes = options, visual_prototypes
        self._dispersion: Tensor | None = None

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """1/n sum_i dist(S(x_i, y_i), M_{y_i}) over the images whose class has a prototype, times the ramp."""
        if not self.visual_prototypes.is_fixed:
            return None
        weights = self.visual_prototypes.map_weights(output.network.head.weight)
        saliency_maps = activation_maps(output.feature_maps, weights[output.targets])
        self._dispersion = map_dispersion(saliency_maps.detach())
        distance = map_distance(
            saliency_maps,
            self.visual_prototypes.target_maps[output.targets],
            self.options.distance,
            self.options.normalisation,
        )
        return self.ramp_factor(output.step.progress) * distance

    def ramp_factor(self, progress: float) -> float:
        """Returns the factor on the distance: 0 at the end of the warm-up, 1 at the end of the ramp."""
        elapsed_share = progress - self.visual_prototypes.options.warm_up
        return min(1.0, max(elapsed_share, 0.0) / self.options.ramp) if self.options.ramp else 1.0

    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns how much maps differ between images: one map for all images also makes the distance small."""
        return {} if self._dispersion is None else {f"{self.name}.dispersion": self._dispersion}

    def begin_task(self, network: object, context: object, data: object) -> None:
        """Forgets the dispersion of the last task."""
        self._dispersion = None
