"""Elastic weight consolidation: one quadratic around the old weights, whatever the number of tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict, TaskContext, TrainingStep
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.fisher.task_fisher import TaskFisher
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.methods.option_checks import check_bounds, not_negative, share
from anamnesis.networks import Classifier


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
        decay: gamma, the factor on the Fisher information of earlier tasks when a task is added to it.
        merge: how the quadratics of the tasks become one: ``online`` (around the latest weights) or ``exact`` (their
            sum).
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

    State: ``ewc_fisher`` F and ``ewc_anchor`` theta*, shaped like the parameters.
    """

    name = "ewc"

    def __init__(self, options: ConsolidationOptions, task_fisher: TaskFisher) -> None:
        super().__init__(options.penalty)
        self.options, self.task_fisher = options, task_fisher
        self.quadratic_penalty = QuadraticPenalty()

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Grows the quadratic with the head; new rows have no importance."""
        self.quadratic_penalty, self._network = self.quadratic_penalty.grow_to(network), network

    def loss(self, output: ForwardOutput) -> Tensor | None:
        """Returns the quadratic; none in the first task, and none where the proximal step replaces it."""
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
        """Adds the quadratic of this task, of its Fisher information around the current weights, to the decayed sum."""
        task_penalty = QuadraticPenalty.around(network, self.task_fisher.measure(network, context, data))
        self.quadratic_penalty = self.quadratic_penalty.merge(task_penalty, self.options.decay, self.options.merge)

    def state_dict(self) -> StateDict:
        """Returns Fisher information and anchor."""
        return self.quadratic_penalty.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores them, where the base version has them."""
        self.quadratic_penalty = QuadraticPenalty.from_state_dict(state, device)
