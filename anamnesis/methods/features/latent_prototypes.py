"""Latent prototypes: one learned code for each class of the current task (Li et al., AAAI 2018).

A distance between codes is their mean squared difference, so that weights mean the same for every size of the feature
maps. The losses that use it are in ``losses.prototype_distance``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from anamnesis.methods.base import Data, StateDict, TaskContext, part_tensors
from anamnesis.methods.loss_term import ForwardOutput
from anamnesis.methods.method_component import MethodComponent
from anamnesis.networks import Classifier, evaluation_mode
from anamnesis.records import Split
from anamnesis.records.option_checks import check_bounds, not_negative


class PrototypeAssignment(StrEnum):
    """Which prototypes an image is compared with."""

    OWN = "own"
    """The one of its class (ProtoPNet, Chen et al., NeurIPS 2019)."""
    NEAREST = "nearest"
    """The nearest one (Li et al. 2018)."""


@dataclass(frozen=True, slots=True)
class LatentPrototypeOptions:
    """Latent prototypes; with both weights at 0 there are none.

    Attributes:
        prototype_near_sample: weight of R1, the distance from each latent prototype to the nearest image.
        sample_near_prototype: weight of R2, the distance from each image to the nearest latent prototype.
        assignment: which latent prototype an image is compared with: ``own`` or ``nearest``.
    """

    prototype_near_sample: float = not_negative(0.05)
    sample_near_prototype: float = not_negative(0.05)
    assignment: PrototypeAssignment = PrototypeAssignment.OWN

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.latent_prototypes", self)


class LatentPrototypes(MethodComponent):
    """The codes mu_c; they start at the mean code of their class.

    Attributes:
        values: [k, F, h, w], the learned codes; a class without images starts at zero.
        class_indices: [k], their classes.
    """

    name = "latent_prototypes"

    def __init__(self) -> None:
        self.end_task(None, None, None)

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Puts each code at the mean of its class under the base version."""
        start = context.checkpointed(
            "latent_prototypes.start",
            lambda: {"means": class_means(network, data, context.class_indices, network.features)[0]},
        )
        self.values = nn.Parameter(start["means"])
        self.class_indices = torch.tensor(context.class_indices, device=self.values.device)

    def end_task(self, network: object, context: object, data: object) -> None:
        """Drops the codes: only the visual prototype of a class outlives its task."""
        self.values, self.class_indices = nn.Parameter(torch.zeros(0)), torch.zeros(0, dtype=torch.long)

    def parameters(self) -> tuple[nn.Parameter, ...]:
        """Returns the codes."""
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
        """Returns the codes during a task, nothing between tasks."""
        return {f"{self.name}/values": self.values.detach()} if len(self.values) else {}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Copies the codes into the parameter that the optimiser has."""
        tensors = part_tensors(state, self.name)
        if "values" in tensors and tensors["values"].shape == self.values.shape:
            self.values.data.copy_(tensors["values"])


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Returns [N, M] squared distances of [N, D] and [M, D] as |x|^2 + |y|^2 - 2 xy, never below 0."""
    products = first @ second.T
    return (first.square().sum(1)[:, None] + second.square().sum(1) - 2 * products).clamp_min(0)


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
            sums.index_add_(0, row_of_class[batch.classes], values)
            counts.index_add_(0, row_of_class[batch.classes], torch.ones_like(batch.classes, dtype=counts.dtype))
    return (sums / counts.clamp_min(1).view(-1, *[1] * (sums.dim() - 1))).float(), counts
