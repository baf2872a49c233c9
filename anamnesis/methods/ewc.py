"""Elastic weight consolidation: a quadratic penalty holds the weights that earlier tasks depend on.

Kirkpatrick et al., PNAS 2017 (arXiv 1612.00796), in the online form of Schwarz et al., ICML 2018 (arXiv 1805.06370):
one quadratic for all earlier tasks, around the latest weights. Its Fisher information is per image, in evaluation mode.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from anamnesis.methods.base import Batch, Data, Stage, StateDict, TaskContext, TrainingStep
from anamnesis.methods.classification import ClassificationMethod, SoftmaxScope
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.option_checks import check_bounds, not_negative, share
from anamnesis.methods.register import register
from anamnesis.records import NetworkSettings, Split


@dataclass(frozen=True, slots=True)
class EWCOptions:
    """Options of ``ewc``.

    Attributes:
        penalty: lambda, the weight of the quadratic around the old weights; 0 is fine-tuning.
        decay: gamma, the factor on the Fisher information of earlier tasks when a task is added to it.
        fisher: which labels the Fisher information is computed with: ``exact``, ``sampled`` or ``empirical``.
        images: number of images it is computed on; 0 takes the whole training split.
        competing: which classes compete in the softmax: ``task`` (old rows of the head do not change) or ``seen``.
    """

    penalty: float = not_negative(3000.0)
    decay: float = share(1.0)
    fisher: FisherKind = FisherKind.SAMPLED
    images: int = not_negative(2000)
    competing: SoftmaxScope = SoftmaxScope.TASK

    def __post_init__(self) -> None:
        check_bounds("ewc", self)


@register("ewc", EWCOptions)
class EWC(ClassificationMethod[EWCOptions]):
    """Cross-entropy on the new data, and lambda/2 sum_j F_j (theta_j - theta*_j)^2 around the old weights.

    F_j = E_x E_{y ~ p(y|x)} [(d log p(y|x) / d theta_j)^2] over the training images.
    State: ``ewc_fisher`` F and ``ewc_anchor`` theta*, shaped like the weights.
    """

    def __init__(self, options: EWCOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._quadratic = QuadraticPenalty()

    def softmax_scope(self) -> SoftmaxScope:
        """Returns the scope that the options choose."""
        return self.options.competing

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows head and quadratic; new rows have no importance."""
        (stage,) = super().begin_task(context, data)
        self._quadratic = self._quadratic.grow_to(self.network)
        # From the second task on BatchNorm's running statistics do not change: the quadratic does not hold them.
        return [replace(stage, train_modules=())] if context.has_earlier_tasks else [stage]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the cross-entropy and, from the second task on, the quadratic."""
        terms = super().loss(batch, step)
        if self.options.penalty and self._quadratic.importance:
            terms["ewc"] = self.options.penalty * self._quadratic.value(self.network)
        return terms

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Adds the Fisher information of this task, around the current weights, to the decayed sum."""
        is_task_alone = self.options.competing is SoftmaxScope.TASK
        fisher = fisher_diagonal(
            self.network,
            data(Split.TRAIN),
            class_indices=context.class_indices if is_task_alone else tuple(range(len(context.labels))),
            kind=self.options.fisher,
            generator=context.streams.generator("fisher"),
            image_limit=self.options.images,
        )
        latest = QuadraticPenalty.around(self.network, fisher)
        self._quadratic = self._quadratic.merge(latest, self.options.decay, PenaltyMerge.ONLINE)

    def state_dict(self) -> StateDict:
        """Returns the network, Fisher information and anchor."""
        return super().state_dict() | self._quadratic.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and, where the base version has them, Fisher information and anchor."""
        super().load_state_dict(state, class_count)
        self._quadratic = QuadraticPenalty.from_state_dict(state, self.network.head.weight.device)
