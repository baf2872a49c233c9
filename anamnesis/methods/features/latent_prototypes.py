"""Latent prototypes: one learned code for each class of the task at hand (Li et al., AAAI 2018).

Two terms tie codes and images of a class to each other. A distance between codes is their mean squared difference, so
that weights mean the same for every size of the feature maps.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Data, State, TaskContext, part_of
from anamnesis.methods.loss_term import Pass, Term
from anamnesis.networks import Classifier, evaluating
from anamnesis.records import Split


class Assignment(StrEnum):
    """Which prototypes an image is compared with."""

    OWN = "own"
    """The one of its class (ProtoPNet, Chen et al., NeurIPS 2019)."""
    NEAREST = "nearest"
    """Whichever is nearest (Li et al. 2018)."""


class LatentPrototypes(Term):
    """The codes mu_c, shared by the two terms below; no loss of its own. They start at the mean code of their class.

    Attributes:
        values: [k, F, h, w], what is learned; a class without images starts at zero.
        columns: [k], their classes.
    """

    name = "latent_prototypes"

    def __init__(self) -> None:
        super().__init__(1.0)
        self.end(None, None, None)

    def begin(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Puts each code at the mean of its class under the base version."""
        means, _ = class_means(network, data, context.columns, network.features)
        self.values = nn.Parameter(means)
        self.columns = torch.tensor(context.columns, device=means.device)

    def end(self, network: object, context: object, data: object) -> None:
        """Lets go of them: what stays of a class is its visual prototype."""
        self.values, self.columns = nn.Parameter(torch.zeros(0)), torch.zeros(0, dtype=torch.long)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The codes."""
        return (self.values,)

    def distances(self, run: Pass, assignment: Assignment) -> Tensor:
        """Returns [N, k] from each image to each prototype; infinite where they are not compared."""
        found = squared_distances(run.maps.float().flatten(1), self.values.flatten(1)) / self.values[0].numel()
        if assignment is Assignment.NEAREST:
            return found
        return found.masked_fill(run.targets[:, None] != self.columns, torch.inf)

    def state_dict(self) -> State:
        """The codes while a task is learned; nothing between tasks."""
        return {f"{self.name}/values": self.values.detach()} if len(self.values) else {}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Puts the codes into the parameter that the optimiser knows."""
        found = part_of(state, self.name)
        if "values" in found and found["values"].shape == self.values.shape:
            self.values.data.copy_(found["values"])


class PrototypeNearSample(Term):
    """R1: each prototype has an image of the batch near it, so that it decodes to something that is seen."""

    name = "prototype_near_sample"

    def __init__(self, weight: float, latent: LatentPrototypes, assignment: Assignment) -> None:
        super().__init__(weight)
        self.latent, self.assignment = latent, assignment

    def loss(self, run: Pass) -> Tensor:
        """1/K sum_k min_i |mu_k - e(x_i)|^2, over the prototypes that have an image to be compared with."""
        return mean_finite(self.latent.distances(run, self.assignment).amin(0))


class SampleNearPrototype(Term):
    """R2: each image has a prototype near it, so that a class is one cluster."""

    name = "sample_near_prototype"

    def __init__(self, weight: float, latent: LatentPrototypes, assignment: Assignment) -> None:
        super().__init__(weight)
        self.latent, self.assignment = latent, assignment

    def loss(self, run: Pass) -> Tensor:
        """1/N sum_i min_k |e(x_i) - mu_k|^2."""
        return mean_finite(self.latent.distances(run, self.assignment).amin(1))


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Returns [N, M] squared distances of [N, D] and [M, D] as |x|^2 + |y|^2 - 2 xy, never below 0."""
    products = first @ second.T
    return (first.square().sum(1)[:, None] + second.square().sum(1) - 2 * products).clamp_min(0)


def mean_finite(values: Tensor) -> Tensor:
    """Returns the mean of those that are not infinite; 0, with a gradient of 0, where all are. NaN stays NaN."""
    counted = ~values.isinf()
    return values.masked_fill(~counted, 0.0).sum() / counted.sum().clamp_min(1)


@torch.no_grad()
def class_means(
    network: Classifier, data: Data, columns: tuple[int, ...], read: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns the mean [k, ...] of ``read`` over the training images of each class, and how many there are [k].

    Clean images, evaluation mode; sums in float64, so that it does not matter how images are batched.

    Args:
        network: put in evaluation mode meanwhile.
        data: of the task.
        columns: [k] classes.
        read: maps images [N, C, H, W] to [N, ...].
    """
    device = network.head.weight.device
    rows = torch.full((network.head.classes,), -1, device=device)
    rows[list(columns)] = torch.arange(len(columns), device=device)
    counts, sums = torch.zeros(len(columns), device=device), torch.zeros(0)
    with evaluating(network):
        for batch in data(Split.TRAIN):
            values = read(batch.images).double()
            sums = sums if sums.numel() else values.new_zeros(len(columns), *values.shape[1:])
            sums.index_add_(0, rows[batch.targets], values)
            counts.index_add_(0, rows[batch.targets], torch.ones_like(batch.targets, dtype=counts.dtype))
    return (sums / counts.clamp_min(1).view(-1, *[1] * (sums.dim() - 1))).float(), counts
