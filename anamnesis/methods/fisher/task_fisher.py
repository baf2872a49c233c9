"""The Fisher information that ``ewc_prototype`` stores of a task: of answers, reconstructions and saliency maps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, TaskContext
from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.features.saliency_maps import SaliencyTarget, activation_maps, head_weights, unit_maps
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal, gaussian_fisher_diagonal
from anamnesis.networks import AutoEncoder, Classifier
from anamnesis.records import Split
from anamnesis.records.option_checks import check_bounds, count_between, not_negative, positive


class FisherScale(StrEnum):
    """What a task's Fisher information is divided by, so that lambda means the same for each task."""

    NONE = "none"
    MEAN = "mean"
    """Its mean over all weights that have any."""
    MAX = "max"
    """Its largest value: then gradient steps are stable where rate times lambda is below 2 (1 + momentum)."""


@dataclass(frozen=True, slots=True)
class FisherOptions:
    """How Fisher information is measured.

    Attributes:
        kind: which labels it is computed with: ``exact``, ``sampled`` or ``empirical``.
        images: number of images it is computed on; 0 takes the whole training split.
        temperature: softens the logits for it; a network that is certain of all answers has none at 1.
        reconstruction_probes: backward passes per batch for the Fisher information of the reconstruction; 0 leaves
            the decoder free.
        saliency_weight: weight of the Fisher information of the saliency maps, beside that of the answers: it also
            holds the weights that decide where the network looks.
        scale: what the Fisher information of each task is divided by: ``none``, ``mean`` or ``max``.
        clip: largest value after the division; 0 does not clip.
    """

    kind: FisherKind = FisherKind.SAMPLED
    images: int = not_negative(2000)
    temperature: float = positive(1.0)
    reconstruction_probes: int = count_between(0, 10_000, 0)
    saliency_weight: float = not_negative(0.1)
    scale: FisherScale = FisherScale.NONE
    clip: float = not_negative(0.0)

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.fisher", self)


@dataclass(frozen=True, slots=True)
class TaskFisher:
    """Measures the Fisher information of a task.

    Attributes:
        options: how.
        softmax_scope: decides which rows of the head have Fisher information.
        reconstruction_weight: weight of the reconstruction loss; 0 leaves out its Fisher information.
        saliency_target: which score the saliency maps explain.
        task_groups: the task of each class.
    """

    options: FisherOptions
    softmax_scope: SoftmaxScope
    reconstruction_weight: float
    saliency_target: SaliencyTarget
    task_groups: TaskGroups

    def measure(self, network: Classifier, context: TaskContext, data: Data) -> dict[str, Tensor]:
        """Returns the Fisher information by parameter name, scaled and clipped, in float32."""
        is_task_alone = self.softmax_scope is SoftmaxScope.TASK
        fisher = context.checkpointed(
            "fisher.answers",
            lambda: fisher_diagonal(
                network,
                data(Split.TRAIN),
                class_indices=context.class_indices if is_task_alone else tuple(range(len(context.labels))),
                kind=self.options.kind,
                generator=context.streams.generator("fisher"),
                image_limit=self.options.images,
                temperature=self.options.temperature,
            ),
        )
        for spatial_fisher in self._spatial_fishers(network, context, data):
            fisher = {name: value + spatial_fisher[name] for name, value in fisher.items()}
        return self._rescale(fisher)

    def _spatial_fishers(self, network: Classifier, context: TaskContext, data: Data) -> Iterator[dict[str, Tensor]]:
        """Yields the Fisher information of reconstructions and of saliency maps, where they are switched on."""
        options = self.options
        if options.reconstruction_probes and self.reconstruction_weight and isinstance(network, AutoEncoder):
            # the mean squared error over D numbers is a Gaussian's negative log-likelihood with variance D / 2
            image_numbers = math.prod((network.decoder.last.out_channels, *network.decoder.size))

            def reconstruct(images: Tensor, _: Tensor) -> Tensor:
                return network.decode(network.features(images))

            yield context.checkpointed(
                "fisher.reconstruction",
                lambda: gaussian_fisher_diagonal(
                    network,
                    reconstruct,
                    data(Split.TRAIN),
                    generator=context.streams.generator("fisher", "reconstruction"),
                    inverse_variance=2 * self.reconstruction_weight / image_numbers,
                    probes=options.reconstruction_probes,
                    image_limit=options.images,
                ),
            )
        if options.saliency_weight and network.backbone.learnable_parameters():
            weights = head_weights(network.head.weight.detach(), self.task_groups, self.saliency_target)

            def saliency_maps(images: Tensor, targets: Tensor) -> Tensor:
                return unit_maps(activation_maps(network.features(images), weights[targets]))

            yield context.checkpointed(
                "fisher.saliency",
                lambda: gaussian_fisher_diagonal(
                    network,
                    saliency_maps,
                    data(Split.TRAIN),
                    generator=context.streams.generator("fisher", "saliency"),
                    inverse_variance=options.saliency_weight,
                    image_limit=options.images,
                ),
            )

    def _rescale(self, fisher: dict[str, Tensor]) -> dict[str, Tensor]:
        positive_values = torch.cat([value[value > 0] for value in fisher.values()])
        if self.options.scale is not FisherScale.NONE and len(positive_values):
            divisor = positive_values.mean() if self.options.scale is FisherScale.MEAN else positive_values.max()
            fisher = {name: value / divisor for name, value in fisher.items()}
        clip = self.options.clip
        return {name: value.clamp(max=clip) for name, value in fisher.items()} if clip else fisher
