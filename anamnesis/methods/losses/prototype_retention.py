"""Prototype retention: stored prototypes keep their class, their reconstruction and the place of their saliency."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.features.saliency_maps import activation_maps, map_distance
from anamnesis.methods.features.visual_prototypes import VisualPrototypes
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.methods.losses.saliency_alignment import SaliencyOptions
from anamnesis.records.option_checks import check_bounds, count_between, not_negative


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """The retention of stored prototypes; needs ``visual_prototypes.sharing: shared``.

    Attributes:
        weight: of the whole retention loss.
        classification: factor on its cross-entropy, over the same classes that compete for new images.
        reconstruction: factor on its mean squared error per pixel.
        saliency: factor on its distance between saliency maps.
        replayed: number of stored prototypes that go through the network with each batch.
    """

    weight: float = not_negative(0.1)
    classification: float = not_negative(0.0)
    reconstruction: float = not_negative(1.0)
    saliency: float = not_negative(1.0)
    replayed: int = count_between(0, 10_000, 4)

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.retention", self)


class PrototypeRetentionLoss(LossTerm):
    """A spatial reconstruction penalty on stored prototypes; none where no prototype is stored."""

    name = "prototype_retention"

    def __init__(
        self,
        options: RetentionOptions,
        saliency_options: SaliencyOptions,
        visual_prototypes: VisualPrototypes,
        softmax_scope: SoftmaxScope,
    ) -> None:
        super().__init__(options.weight)
        self.options, self.saliency_options = options, saliency_options
        self.visual_prototypes, self.softmax_scope = visual_prototypes, softmax_scope

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """1/m sum_c [CE(f(V_c), c) + a |D(E(V_c)) - V_c|^2 / pixels + b dist(S(V_c, c), S*_c)] over this step's m."""
        prototype_output = output.prototype_output
        if prototype_output is None:
            return None
        options, total = self.options, prototype_output.logits.new_zeros(())
        if options.classification:
            logits = self._scoped_logits(prototype_output)
            total = total + options.classification * functional.cross_entropy(logits, prototype_output.targets)
        if options.reconstruction and prototype_output.reconstruction is not None:
            total = total + options.reconstruction * functional.mse_loss(
                prototype_output.reconstruction, prototype_output.images
            )
        if options.saliency:
            weights = self.visual_prototypes.map_weights(output.network.head.weight)
            saliency_maps = activation_maps(prototype_output.feature_maps, weights[prototype_output.targets])
            target_maps = self.visual_prototypes.replayed.maps[prototype_output.sample_indices]
            total = total + options.saliency * map_distance(
                saliency_maps, target_maps, self.saliency_options.distance, self.saliency_options.normalisation
            )
        return total

    def _scoped_logits(self, prototype_output: ForwardOutput) -> Tensor:
        """Returns the logits [m, K]; minus infinity for classes of other tasks where only a task's classes compete.

        In competition with every class, a few artificial images would push the features of all tasks apart.
        """
        if self.softmax_scope is SoftmaxScope.SEEN:
            return prototype_output.logits
        task_of_class = self.visual_prototypes.task_groups.task_of_class
        return prototype_output.logits.masked_fill(
            task_of_class[prototype_output.targets][:, None] != task_of_class, -torch.inf
        )
