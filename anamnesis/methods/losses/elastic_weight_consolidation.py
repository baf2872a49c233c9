"""The parametric constraint: elastic weight consolidation, in one quadratic whatever the number of tasks."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, State, Step, TaskContext, part_of
from anamnesis.methods.classification import Competing
from anamnesis.methods.features.saliency_maps import Evidence, activation_maps, head_weights, unit_maps
from anamnesis.methods.features.task_groups import Groups
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal, gaussian_diagonal
from anamnesis.methods.fisher.quadratic_penalty import Merging, Quadratic
from anamnesis.methods.loss_term import Pass, Term
from anamnesis.networks import AutoEncoder, Classifier
from anamnesis.records import Split


class Scale(StrEnum):
    """What a task's Fisher information is divided by, so that lambda means the same for each task."""

    NONE = "none"
    MEAN = "mean"
    """Its mean over all weights that have any."""
    MAX = "max"
    """Its largest value: then gradient steps are stable where rate times lambda is below 2 (1 + momentum)."""


class Way(StrEnum):
    """How the quadratic acts."""

    EXPLICIT = "explicit"
    """As a summand of the loss."""
    PROXIMAL = "proximal"
    """By its proximal step after the optimiser's: stable for any lambda, and Adam does not rescale it."""


@dataclass(frozen=True, slots=True)
class ConsolidationSettings:
    """Of the ``ewc`` term.

    Attributes:
        fisher: whose labels the Fisher information is computed with.
        images: it is computed on; 0 takes the whole training split.
        temperature: at which logits are softened for it, against vanishing Fisher information.
        probes: random signs for the reconstruction's Fisher information, added to the classifier's; 0 leaves the
            decoder free.
        reconstruction: weight of the reconstruction loss, of which that is.
        saliency: weight of the saliency maps' Fisher information, added to the classifier's.
        evidence: which score those maps explain.
        scale: what each task's is divided by.
        clip: the largest value after that; 0 leaves it.
        decay: gamma; what is left of earlier tasks' when a task is added.
        merging: which quadratic stands for all tasks.
        way: how it acts.
        competing: whose rows of the head have Fisher information.
    """

    fisher: FisherKind = FisherKind.SAMPLED
    images: int = 2000
    temperature: float = 1.0
    probes: int = 0
    reconstruction: float = 1.0
    saliency: float = 0.0
    evidence: Evidence = Evidence.CONTRAST
    scale: Scale = Scale.NONE
    clip: float = 0.0
    decay: float = 1.0
    merging: Merging = Merging.ONLINE
    way: Way = Way.EXPLICIT
    competing: Competing = Competing.TASK


class Consolidation(Term):
    """1/2 sum_j F_j (theta_j - theta*_j)^2; its weight is lambda.

    State: ``ewc_fisher`` F and ``ewc_anchor`` theta*, shaped like the parameters.
    """

    name = "ewc"

    def __init__(self, weight: float, settings: ConsolidationSettings, groups: Groups) -> None:
        super().__init__(weight)
        self.settings, self.groups = settings, groups
        self.quadratic = Quadratic()

    def begin(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Grows with the head; new rows are held by nothing."""
        self.quadratic, self._network = self.quadratic.grown(network), network

    def loss(self, run: Pass) -> Tensor | None:
        """The quadratic; none in the first task, and none where the proximal step takes its place."""
        if self.settings.way is Way.PROXIMAL or not self.quadratic.importance:
            return None
        return self.quadratic.penalty(run.network)

    def after_step(self, network: Classifier, step: Step) -> None:
        """The proximal step, of the step's learning rate times lambda."""
        if self.settings.way is Way.PROXIMAL:
            self.quadratic.pull(network, step.rate * self.weight)

    @torch.no_grad()
    def watched(self) -> Mapping[str, Tensor]:
        """Returns the quadratic where it is no summand of the loss."""
        if self.settings.way is Way.EXPLICIT or not self.quadratic.importance:
            return {}
        return {self.name: self.weight * self.quadratic.penalty(self._network)}

    def end(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Adds this task's quadratic, of its Fisher information around the weights now, to what is left of the old."""
        fresh = self._scaled(self._fisher(network, context, data))
        anchor = {name: value.detach().clone() for name, value in network.named_parameters()}
        self.quadratic = self.quadratic.merged(Quadratic(fresh, anchor), self.settings.decay, self.settings.merging)

    def _fisher(self, network: Classifier, context: TaskContext, data: Data) -> dict[str, Tensor]:
        s, generator = self.settings, context.streams.generator("fisher")
        columns = context.columns if s.competing is Competing.TASK else tuple(range(len(context.labels)))
        found = fisher_diagonal(
            network, data(Split.TRAIN), columns, s.fisher, generator, limit=s.images, temperature=s.temperature
        )
        for more in self._spatial(network, data, generator):
            found = {name: value + more[name] for name, value in found.items()}
        return found

    def _spatial(self, network: Classifier, data: Data, generator: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Yields how much pictures and saliency maps depend on each weight."""
        s = self.settings
        if s.probes and s.reconstruction and isinstance(network, AutoEncoder):
            # the mean squared error over D numbers is a Gaussian's negative log-likelihood with variance D / 2
            precision = 2 * s.reconstruction / math.prod((network.decoder.last.out_channels, *network.decoder.size))

            def pictures(images: Tensor, _: Tensor) -> Tensor:
                return network.decode(network.features(images))

            yield gaussian_diagonal(network, pictures, data(Split.TRAIN), generator, precision, s.probes, s.images)
        if s.saliency:
            weights = head_weights(network.head.weight.detach(), self.groups, s.evidence)

            def looks(images: Tensor, targets: Tensor) -> Tensor:
                return unit_maps(activation_maps(network.features(images), weights[targets]))

            yield gaussian_diagonal(network, looks, data(Split.TRAIN), generator, s.saliency, 1, s.images)

    def _scaled(self, fisher: dict[str, Tensor]) -> dict[str, Tensor]:
        some = torch.cat([value[value > 0] for value in fisher.values()])
        if self.settings.scale is not Scale.NONE and len(some):
            unit = some.mean() if self.settings.scale is Scale.MEAN else some.max()
            fisher = {name: value / unit for name, value in fisher.items()}
        clip = self.settings.clip
        return {name: value.clamp(max=clip) for name, value in fisher.items()} if clip else fisher

    def state_dict(self) -> State:
        """Fisher information and anchor."""
        fisher: State = {f"ewc_fisher/{name}": value for name, value in self.quadratic.importance.items()}
        return fisher | {f"ewc_anchor/{name}": value for name, value in self.quadratic.anchor.items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back, where the base version has them."""
        fisher, anchor = (
            {name: value.to(device) for name, value in part_of(state, part).items()}
            for part in ("ewc_fisher", "ewc_anchor")
        )
        self.quadratic = Quadratic(fisher, anchor)
