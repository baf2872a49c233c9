"""What stored prototypes of earlier classes must keep: their class, their picture, where the network looks on them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.features.saliency_maps import (
    MapDistance,
    MapNormalisation,
    activation_maps,
    head_weights,
    map_distance,
)
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.loss_term import ForwardOutput, LossTerm


@dataclass(frozen=True, slots=True)
class RetentionWeights:
    """Factors on the three parts.

    Attributes:
        classification: of the cross-entropy, over the classes that compete for new images too.
        reconstruction: of the mean squared error per pixel of the reconstruction.
        saliency: of the distance between maps.
    """

    classification: float = 1.0
    reconstruction: float = 1.0
    saliency: float = 1.0


class PrototypeRetentionLoss(LossTerm):
    """A spatial reconstruction penalty on stored prototypes; nothing where there are none."""

    name = "prototype_retention"

    def __init__(
        self,
        weight: float,
        part_weights: RetentionWeights,
        visual_prototypes: VisualPrototypes,
        distance: MapDistance,
        normalisation: MapNormalisation,
        softmax_scope: SoftmaxScope,
    ) -> None:
        super().__init__(weight)
        self.softmax_scope = softmax_scope
        self.part_weights, self.visual_prototypes, self.distance, self.normalisation = (
            part_weights,
            visual_prototypes,
            distance,
            normalisation,
        )

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """1/m sum_c [CE(f(V_c), c) + a |D(E(V_c)) - V_c|^2 / pixels + b dist(S(V_c, c), S*_c)] over this step's m."""
        prototype_output = output.prototype_output
        if prototype_output is None:
            return None
        total = prototype_output.logits.new_zeros(())
        if self.part_weights.classification:
            total = total + self.part_weights.classification * functional.cross_entropy(
                self._scoped_logits(prototype_output), prototype_output.targets
            )
        if self.part_weights.reconstruction and prototype_output.reconstruction is not None:
            total = total + self.part_weights.reconstruction * functional.mse_loss(
                prototype_output.reconstruction, prototype_output.images
            )
        if self.part_weights.saliency:
            weights = head_weights(
                output.network.head.weight,
                self.visual_prototypes.task_groups,
                self.visual_prototypes.settings.saliency_target,
            )
            saliency_maps = activation_maps(prototype_output.feature_maps, weights[prototype_output.targets])
            target_maps = self.visual_prototypes.maps[prototype_output.targets]
            total = total + self.part_weights.saliency * map_distance(
                saliency_maps, target_maps, self.distance, self.normalisation
            )
        return total

    def _scoped_logits(self, prototype_output: ForwardOutput) -> Tensor:
        """Returns the logits [m, K]; where only a task's classes compete, those of other tasks are out of the way.

        Against every class, a few made-up images would push the features of all tasks apart, at the features' cost.
        """
        if self.softmax_scope is SoftmaxScope.SEEN:
            return prototype_output.logits
        task_of_class = self.visual_prototypes.task_groups.task_of_class
        return prototype_output.logits.masked_fill(
            task_of_class[prototype_output.targets][:, None] != task_of_class, -torch.inf
        )
