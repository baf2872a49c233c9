"""Latent prototypes: one learned code for each class of the task at hand (Li et al., AAAI 2018).

Two terms tie codes and images of a class to each other. A distance between codes is their mean squared difference, so
that weights mean the same for every size of the feature maps.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Data, StateDict, TaskContext, part_tensors
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.networks import Classifier, evaluation_mode
from anamnesis.records import Split


class PrototypeAssignment(StrEnum):
    """Which prototypes an image is compared with."""

    OWN = "own"
    """The one of its class (ProtoPNet, Chen et al., NeurIPS 2019)."""
    NEAREST = "nearest"
    """Whichever is nearest (Li et al. 2018)."""


class LatentPrototypes(LossTerm):
    """The codes mu_c, shared by the two terms below; no loss of its own. They start at the mean code of their class.

    Attributes:
        values: [k, F, h, w], what is learned; a class without images starts at zero.
        class_indices: [k], their classes.
    """

    name = "latent_prototypes"

    def __init__(self) -> None:
        super().__init__(1.0)
        self.end_task(None, None, None)

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Puts each code at the mean of its class under the base version."""
        means, _ = class_means(network, data, context.class_indices, network.features)
        self.values = nn.Parameter(means)
        self.class_indices = torch.tensor(context.class_indices, device=means.device)

    def end_task(self, network: object, context: object, data: object) -> None:
        """Lets go of them: what stays of a class is its visual prototype."""
        self.values, self.class_indices = nn.Parameter(torch.zeros(0)), torch.zeros(0, dtype=torch.long)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The codes."""
        return (self.values,)

    def distances(self, output: ForwardOutput, assignment: PrototypeAssignment) -> Tensor:
        """Returns [N, k] from each image to each prototype; infinite where they are not compared."""
        distances = (
            squared_distances(output.feature_maps.float().flatten(1), self.values.flatten(1)) / self.values[0].numel()
        )
        if assignment is PrototypeAssignment.NEAREST:
            return distances
        return distances.masked_fill(output.targets[:, None] != self.class_indices, torch.inf)

    def state_dict(self) -> StateDict:
        """The codes while a task is learned; nothing between tasks."""
        return {f"{self.name}/values": self.values.detach()} if len(self.values) else {}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Puts the codes into the parameter that the optimiser knows."""
        tensors = part_tensors(state, self.name)
        if "values" in tensors and tensors["values"].shape == self.values.shape:
            self.values.data.copy_(tensors["values"])


class PrototypeNearSampleLoss(LossTerm):
    """R1: each prototype has an image of the batch near it, so that it decodes to something that is seen."""

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


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Returns [N, M] squared distances of [N, D] and [M, D] as |x|^2 + |y|^2 - 2 xy, never below 0."""
    products = first @ second.T
    return (first.square().sum(1)[:, None] + second.square().sum(1) - 2 * products).clamp_min(0)


def mean_finite(values: Tensor) -> Tensor:
    """Returns the mean of those that are not infinite; 0, with a gradient of 0, where all are. NaN stays NaN."""
    is_finite = ~values.isinf()
    return values.masked_fill(~is_finite, 0.0).sum() / is_finite.sum().clamp_min(1)


@torch.no_grad()
def class_means(
    network: Classifier, data: Data, class_indices: tuple[int, ...], output_of: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns the mean [k, ...] of ``output_of`` over the training images of each class, and how many there are [k].

    Clean images, evaluation mode; sums in float64, so that it does not matter how images are batched.

    Args:
        network: put in evaluation mode meanwhile.
        data: of the task.
        class_indices: [k] classes.
        output_of: maps images [N, C, H, W] to [N, ...].
    """
    device = network.head.weight.device
    row_of_class = torch.full((network.head.classes,), -1, device=device)
    row_of_class[list(class_indices)] = torch.arange(len(class_indices), device=device)
    counts, sums = torch.zeros(len(class_indices), device=device), torch.zeros(0)
    with evaluation_mode(network):
        for batch in data(Split.TRAIN):
            values = output_of(batch.images).double()
            sums = sums if sums.numel() else values.new_zeros(len(class_indices), *values.shape[1:])
            sums.index_add_(0, row_of_class[batch.targets], values)
            counts.index_add_(0, row_of_class[batch.targets], torch.ones_like(batch.targets, dtype=counts.dtype))
    return (sums / counts.clamp_min(1).view(-1, *[1] * (sums.dim() - 1))).float(), counts
