"""The parametric constraint: elastic weight consolidation, in one quadratic whatever the number of tasks."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict, TaskContext, TrainingStep, part_tensors
from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.features.saliency_maps import SaliencyTarget, activation_maps, head_weights, unit_maps
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal, gaussian_fisher_diagonal
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.networks import AutoEncoder, Classifier
from anamnesis.records import Split


class FisherScale(StrEnum):
    """What a task's Fisher information is divided by, so that lambda means the same for each task."""

    NONE = "none"
    MEAN = "mean"
    """Its mean over all weights that have any."""
    MAX = "max"
    """Its largest value: then gradient steps are stable where rate times lambda is below 2 (1 + momentum)."""


class PenaltyMode(StrEnum):
    """How the quadratic acts."""

    EXPLICIT = "explicit"
    """As a summand of the loss."""
    PROXIMAL = "proximal"
    """By its proximal step after the optimiser's: stable for any lambda, and Adam does not rescale it."""


@dataclass(frozen=True, slots=True)
class EWCSettings:
    """Of the ``ewc`` term.

    Attributes:
        fisher_kind: whose labels the Fisher information is computed with.
        image_limit: it is computed on; 0 takes the whole training split.
        temperature: at which logits are softened for it, against vanishing Fisher information.
        probes: random signs for the reconstruction's Fisher information, added to the classifier's; 0 leaves the
            decoder free.
        reconstruction_weight: weight of the reconstruction loss, of which that is.
        saliency_weight: weight of the saliency maps' Fisher information, added to the classifier's.
        saliency_target: which score those maps explain.
        scale: what each task's is divided by.
        clip: the largest value after that; 0 leaves it.
        decay: gamma; what is left of earlier tasks' when a task is added.
        penalty_merge: which quadratic stands for all tasks.
        penalty_mode: how it acts.
        softmax_scope: whose rows of the head have Fisher information.
    """

    fisher_kind: FisherKind = FisherKind.SAMPLED
    image_limit: int = 2000
    temperature: float = 1.0
    probes: int = 0
    reconstruction_weight: float = 1.0
    saliency_weight: float = 0.0
    saliency_target: SaliencyTarget = SaliencyTarget.CONTRAST
    scale: FisherScale = FisherScale.NONE
    clip: float = 0.0
    decay: float = 1.0
    penalty_merge: PenaltyMerge = PenaltyMerge.ONLINE
    penalty_mode: PenaltyMode = PenaltyMode.EXPLICIT
    softmax_scope: SoftmaxScope = SoftmaxScope.TASK


class ElasticWeightConsolidationLoss(LossTerm):
    """1/2 sum_j F_j (theta_j - theta*_j)^2; its weight is lambda.

    State: ``ewc_fisher`` F and ``ewc_anchor`` theta*, shaped like the parameters.
    """

    name = "ewc"

    def __init__(self, weight: float, settings: EWCSettings, task_groups: TaskGroups) -> None:
        super().__init__(weight)
        self.settings, self.task_groups = settings, task_groups
        self.quadratic_penalty = QuadraticPenalty()

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Grows with the head; new rows are held by nothing."""
        self.quadratic_penalty, self._network = self.quadratic_penalty.grow_to(network), network

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """The quadratic; none in the first task, and none where the proximal step takes its place."""
        if self.settings.penalty_mode is PenaltyMode.PROXIMAL or not self.quadratic_penalty.importance:
            return None
        return self.quadratic_penalty.value(output.network)

    def after_step(self, network: Classifier, step: TrainingStep) -> None:
        """The proximal step, of the step's learning rate times lambda."""
        if self.settings.penalty_mode is PenaltyMode.PROXIMAL:
            self.quadratic_penalty.proximal_step(network, step.learning_rate * self.weight)

    @torch.no_grad()
    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns the quadratic where it is no summand of the loss."""
        if self.settings.penalty_mode is PenaltyMode.EXPLICIT or not self.quadratic_penalty.importance:
            return {}
        return {self.name: self.weight * self.quadratic_penalty.value(self._network)}

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Adds this task's quadratic, of its Fisher information around the weights now, to what is left of the old."""
        task_fisher = self._rescale_fisher(self._compute_fisher(network, context, data))
        anchor = {name: value.detach().clone() for name, value in network.named_parameters()}
        self.quadratic_penalty = self.quadratic_penalty.merge(
            QuadraticPenalty(task_fisher, anchor), self.settings.decay, self.settings.penalty_merge
        )

    def _compute_fisher(self, network: Classifier, context: TaskContext, data: Data) -> dict[str, Tensor]:
        settings, generator = self.settings, context.streams.generator("fisher")
        class_indices = (
            context.class_indices if settings.softmax_scope is SoftmaxScope.TASK else tuple(range(len(context.labels)))
        )
        fisher = fisher_diagonal(
            network,
            data(Split.TRAIN),
            class_indices,
            settings.fisher_kind,
            generator,
            image_limit=settings.image_limit,
            temperature=settings.temperature,
        )
        for spatial_fisher in self._spatial_fishers(network, data, generator):
            fisher = {name: value + spatial_fisher[name] for name, value in fisher.items()}
        return fisher

    def _spatial_fishers(
        self, network: Classifier, data: Data, generator: torch.Generator
    ) -> Iterator[dict[str, Tensor]]:
        """Yields how much pictures and saliency maps depend on each weight."""
        settings = self.settings
        if settings.probes and settings.reconstruction_weight and isinstance(network, AutoEncoder):
            # the mean squared error over D numbers is a Gaussian's negative log-likelihood with variance D / 2
            inverse_variance = (
                2
                * settings.reconstruction_weight
                / math.prod((network.decoder.last.out_channels, *network.decoder.size))
            )

            def reconstruct(images: Tensor, _: Tensor) -> Tensor:
                return network.decode(network.features(images))

            yield gaussian_fisher_diagonal(
                network,
                reconstruct,
                data(Split.TRAIN),
                generator,
                inverse_variance,
                settings.probes,
                settings.image_limit,
            )
        if settings.saliency_weight:
            weights = head_weights(network.head.weight.detach(), self.task_groups, settings.saliency_target)

            def saliency_maps(images: Tensor, targets: Tensor) -> Tensor:
                return unit_maps(activation_maps(network.features(images), weights[targets]))

            yield gaussian_fisher_diagonal(
                network, saliency_maps, data(Split.TRAIN), generator, settings.saliency_weight, 1, settings.image_limit
            )

    def _rescale_fisher(self, fisher: dict[str, Tensor]) -> dict[str, Tensor]:
        positive_values = torch.cat([value[value > 0] for value in fisher.values()])
        if self.settings.scale is not FisherScale.NONE and len(positive_values):
            divisor = positive_values.mean() if self.settings.scale is FisherScale.MEAN else positive_values.max()
            fisher = {name: value / divisor for name, value in fisher.items()}
        clip = self.settings.clip
        return {name: value.clamp(max=clip) for name, value in fisher.items()} if clip else fisher

    def state_dict(self) -> StateDict:
        """Fisher information and anchor."""
        fisher: StateDict = {f"ewc_fisher/{name}": value for name, value in self.quadratic_penalty.importance.items()}
        return fisher | {f"ewc_anchor/{name}": value for name, value in self.quadratic_penalty.anchor.items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back, where the base version has them."""
        fisher, anchor = (
            {name: value.to(device) for name, value in part_tensors(state, part).items()}
            for part in ("ewc_fisher", "ewc_anchor")
        )
        self.quadratic_penalty = QuadraticPenalty(fisher, anchor)
