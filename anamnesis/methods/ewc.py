"""Elastic weight consolidation: a quadratic penalty holds the weights that earlier tasks depend on.

Kirkpatrick et al., PNAS 2017 (arXiv 1612.00796), in the online form of Schwarz et al., ICML 2018 (arXiv 1805.06370):
one quadratic for all other sites, around the latest weights. Its Fisher information is per image, in evaluation mode.
That of each site is stored alone; a site that returns is not held by its own past.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from anamnesis.methods.base import Batch, Data, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod, SoftmaxScope
from anamnesis.methods.fisher.diagonal import FisherKind, fisher_diagonal
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.fisher.site_penalties import SitePenalties
from anamnesis.methods.register import register
from anamnesis.methods.stage import Stage, TrainingStep
from anamnesis.records import NetworkSettings, Split
from anamnesis.records.option_checks import check_bounds, not_negative, share


@dataclass(frozen=True, slots=True)
class EWCOptions:
    """Options of ``ewc``.

    Attributes:
        penalty: lambda, the weight of the quadratic around the old weights; 0 is fine-tuning.
        decay: gamma, the factor on the Fisher information of all other sites when a site is learned.
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
    State: ``ewc_fisher.<site>``, F of each site, shaped like the weights; theta* are the weights of the base version.
    """

    def __init__(self, options: EWCOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._penalties, self._quadratic = SitePenalties(), QuadraticPenalty()

    def softmax_scope(self) -> SoftmaxScope:
        """Returns the scope that the options choose."""
        return self.options.competing

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head and adds up the quadratics of all other sites; new rows have no importance."""
        (stage,) = super().begin_task(context, data)
        self._quadratic = self._penalties.of_others(context.site, self.network)
        self._penalties.decay_others(context.site, self.options.decay)
        # Once there is another site BatchNorm's running statistics do not change: the quadratic does not hold them.
        return [replace(stage, train_modules=())] if context.other_sites else [stage]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the cross-entropy and, where there are other sites, their quadratic."""
        terms = super().loss(batch, step)
        if self.options.penalty and self._quadratic.importance:
            terms["ewc"] = self.options.penalty * self._quadratic.value(self.network)
        return terms

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Replaces the Fisher information of the site."""
        is_task_alone = self.options.competing is SoftmaxScope.TASK
        fisher = context.checkpointed(
            "fisher",
            lambda: fisher_diagonal(
                self.network,
                data(Split.TRAIN),
                class_indices=context.class_indices if is_task_alone else tuple(range(len(context.labels))),
                kind=self.options.fisher,
                generator=context.streams.generator("fisher"),
                image_limit=self.options.images,
            ),
        )
        self._penalties.replace(context.site, self.network, fisher, PenaltyMerge.ONLINE)
        self._quadratic = QuadraticPenalty()

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the Fisher information of ``site``; the weights are not unlearned."""
        super().forget_site(site, kept_columns)
        self._penalties.forget(site, kept_columns)

    def state_dict(self) -> StateDict:
        """Returns the network and the Fisher information of each site."""
        return super().state_dict() | self._penalties.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and, where the base version has it, Fisher information."""
        super().load_state_dict(state, class_count)
        self._penalties.load_state_dict(state, self.network.head.weight.device)
