"""What stored prototypes of earlier classes must keep: their class, their picture, where the network looks on them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.classification import Competing
from anamnesis.methods.features.saliency_maps import (
    Distance,
    Normalisation,
    activation_maps,
    head_weights,
    map_distance,
)
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.loss_term import Pass, Term


@dataclass(frozen=True, slots=True)
class RetentionWeights:
    """Factors on the three parts.

    Attributes:
        answer: of the cross-entropy, over the classes that compete for new images too.
        picture: of the mean squared error per pixel of the reconstruction.
        saliency: of the distance between maps.
    """

    answer: float = 1.0
    picture: float = 1.0
    saliency: float = 1.0


class PrototypeRetention(Term):
    """A spatial reconstruction penalty on stored prototypes; nothing where there are none."""

    name = "prototype_retention"

    def __init__(
        self,
        weight: float,
        parts: RetentionWeights,
        visual: VisualPrototypes,
        distance: Distance,
        normalisation: Normalisation,
        competing: Competing,
    ) -> None:
        super().__init__(weight)
        self.competing = competing
        self.parts, self.visual, self.distance, self.normalisation = parts, visual, distance, normalisation

    def loss(self, run: Pass) -> Tensor | None:
        """1/m sum_c [CE(f(V_c), c) + a |D(E(V_c)) - V_c|^2 / pixels + b dist(S(V_c, c), S*_c)] over this step's m."""
        old = run.old
        if old is None:
            return None
        total = old.logits.new_zeros(())
        if self.parts.answer:
            total = total + self.parts.answer * functional.cross_entropy(self._competing(old), old.targets)
        if self.parts.picture and old.reconstruction is not None:
            total = total + self.parts.picture * functional.mse_loss(old.reconstruction, old.images)
        if self.parts.saliency:
            weights = head_weights(run.network.head.weight, self.visual.groups, self.visual.settings.evidence)
            found = activation_maps(old.maps, weights[old.targets])
            wanted = self.visual.maps[old.targets]
            total = total + self.parts.saliency * map_distance(found, wanted, self.distance, self.normalisation)
        return total

    def _competing(self, old: Pass) -> Tensor:
        """Returns the logits [m, K]; where only a task's classes compete, those of other tasks are out of the way.

        Against every class, a few made-up images would push the features of all tasks apart, at the features' cost.
        """
        if self.competing is Competing.SEEN:
            return old.logits
        group = self.visual.groups.of_class
        return old.logits.masked_fill(group[old.targets][:, None] != group, -torch.inf)
