"""Elastic weight consolidation: one quadratic of all other sites around the old weights, whatever their number."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict, TaskContext
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.fisher.site_penalties import SitePenalties
from anamnesis.methods.fisher.task_fisher import TaskFisher
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.methods.stage import TrainingStep
from anamnesis.networks import Classifier
from anamnesis.records.option_checks import check_bounds, not_negative, share


class PenaltyMode(StrEnum):
    """How the quadratic acts."""

    EXPLICIT = "explicit"
    """As a summand of the loss."""
    PROXIMAL = "proximal"
    """By its proximal step after the optimiser's: stable for any lambda, and Adam does not rescale it."""


@dataclass(frozen=True, slots=True)
class ConsolidationOptions:
    """The quadratic penalty on changes of the weights.

    Attributes:
        penalty: lambda, the weight of the quadratic around the old weights.
        decay: gamma, the factor on the Fisher information of all other sites when a site is learned.
        merge: how the quadratics of the other sites become one: ``online`` (around the latest weights) or ``exact``
            (their sum).
        mode: ``explicit`` (a summand of the loss) or ``proximal`` (after each step; stable for any penalty).
    """

    penalty: float = not_negative(3000.0)
    decay: float = share(1.0)
    merge: PenaltyMerge = PenaltyMerge.ONLINE
    mode: PenaltyMode = PenaltyMode.EXPLICIT

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.consolidation", self)


class ElasticWeightConsolidationLoss(LossTerm):
    """1/2 sum_j F_j (theta_j - theta*_j)^2; its weight is lambda.

    F is the sum over all sites except the one that is learned: its own past does not hold it.
    State: that of ``SitePenalties``.
    """

    name = "ewc"

    def __init__(self, options: ConsolidationOptions, task_fisher: TaskFisher) -> None:
        super().__init__(options.penalty)
        self.options, self.task_fisher = options, task_fisher
        self.site_penalties, self.quadratic_penalty = SitePenalties(), QuadraticPenalty()

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Adds up the quadratics of all other sites; new rows of the head have no importance."""
        self.quadratic_penalty, self._network = self.site_penalties.of_others(context.site, network), network
        self.site_penalties.decay_others(context.site, self.options.decay)

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """Returns the quadratic; none without other sites, and none where the proximal step replaces it."""
        if self.options.mode is PenaltyMode.PROXIMAL or not self.quadratic_penalty.importance:
            return None
        return self.quadratic_penalty.value(output.network)

    def after_step(self, network: Classifier, step: TrainingStep) -> None:
        """Applies the proximal step, of the step's learning rate times lambda."""
        if self.options.mode is PenaltyMode.PROXIMAL:
            self.quadratic_penalty.proximal_step(network, step.learning_rate * self.weight)

    @torch.no_grad()
    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns the quadratic where it is not a summand of the loss."""
        if self.options.mode is PenaltyMode.EXPLICIT or not self.quadratic_penalty.importance:
            return {}
        return {self.name: self.weight * self.quadratic_penalty.value(self._network)}

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the quadratic of the site: its Fisher information, around the current weights."""
        fisher = self.task_fisher.measure(network, context, data)
        self.site_penalties.replace(context.site, network, fisher, self.options.merge)

    def forget_site(self, network: Classifier, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the quadratic of ``site``; the weights are not unlearned."""
        self.site_penalties.forget(site, kept_columns)

    def state_dict(self) -> StateDict:
        """Returns the quadratics of all sites."""
        return self.site_penalties.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores them, where the base version has them."""
        self.site_penalties.load_state_dict(state, device)
