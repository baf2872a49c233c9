"""``ewc_prototype``, first part: online elastic weight consolidation.

A reconstruction of Ignesti et al. 2026, "Fusing parametric and spatial constraints in continual learning", of which
only the abstract was available. This part is the parametric constraint: online EWC (Kirkpatrick et al. 2017; Schwarz
et al. 2018). Reconstruction, class prototypes and saliency alignment are not here yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from anamnesis.methods.base import Batch, Data, Stage, State, Step, TaskContext, part_of
from anamnesis.methods.classification import ClassificationMethod, Competing
from anamnesis.methods.register import register
from anamnesis.methods.terms.fisher import FisherKind, fisher_diagonal
from anamnesis.methods.terms.quadratic import grow_rows, quadratic_penalty
from anamnesis.records import InputError, NetworkSpec, Split


@dataclass(frozen=True, slots=True)
class EWCPrototypeOptions:
    """Options of ``ewc_prototype``.

    Attributes:
        penalty: lambda, the strength of the pull towards the old weights; 0 is fine-tuning.
        decay: gamma; what is left of earlier tasks' Fisher information when a task is added to it.
        fisher: whose labels the Fisher information is computed with: ``exact``, ``sampled`` or ``empirical``.
        fisher_images: images it is computed on; 0 takes the whole training split.
        competing: which classes compete in the softmax: ``task`` (old rows of the head stay as they are) or ``seen``.
    """

    penalty: float = 3000.0
    decay: float = 1.0
    fisher: FisherKind = FisherKind.SAMPLED
    fisher_images: int = 2000
    competing: Competing = Competing.TASK

    def __post_init__(self) -> None:
        if self.penalty < 0 or not 0 <= self.decay <= 1:
            raise InputError(
                f"ewc_prototype: expected penalty of 0 or more and decay from 0 to 1, "
                f"found {self.penalty} and {self.decay}"
            )


@register("ewc_prototype", EWCPrototypeOptions)
class EWCPrototype(ClassificationMethod[EWCPrototypeOptions]):
    """Cross-entropy on the new data, and a pull on every weight that old answers depend on.

    State: ``ewc_fisher`` F and ``ewc_anchor`` theta*, shaped like the parameters; constant in the number of tasks.
    """

    notes = (
        "A reconstruction of Ignesti et al. 2026, of which only the abstract was available. So far its parametric "
        "part: online elastic weight consolidation, without reconstruction, prototypes and saliency alignment.",
    )

    def __init__(self, options: EWCPrototypeOptions, spec: NetworkSpec, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._fisher: dict[str, Tensor] = {}
        self._anchor: dict[str, Tensor] = {}

    def competing(self) -> Competing:
        """As the options say."""
        return self.options.competing

    def begin(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head, and Fisher information and anchor with it."""
        stages = super().begin(context, data)
        if context.earlier:
            # No penalty holds BatchNorm's running statistics: from the second task on they stay as they are, and the
            # network that learns is the one that answers and whose Fisher information was measured.
            stages = [replace(stage, train=()) for stage in stages]
        self._fisher = grow_rows(self._fisher, self.network)
        self._anchor = grow_rows(self._anchor, self.network)
        return stages

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Cross-entropy and, from the second task on, the quadratic penalty."""
        terms = super().loss(batch, step)
        if self._fisher and self.options.penalty:
            terms["ewc"] = quadratic_penalty(self.network, self.options.penalty, self._fisher, self._anchor)
        return terms

    def end(self, context: TaskContext, data: Data) -> None:
        """Adds this task's Fisher information to what is left of the old, and moves the anchor to the weights now."""
        fresh = fisher_diagonal(
            self.network,
            data(Split.TRAIN),
            self._columns if self.options.competing is Competing.TASK else tuple(range(len(context.labels))),
            self.options.fisher,
            context.streams.generator("fisher"),
            self.options.fisher_images,
        )
        for name, value in self._fisher.items():
            fresh[name] += self.options.decay * value
        self._fisher = fresh
        self._anchor = {name: value.detach().clone() for name, value in self.network.named_parameters()}

    def state_dict(self) -> State:
        """The network, Fisher information and anchor."""
        fisher = {f"ewc_fisher/{name}": value for name, value in self._fisher.items()}
        return super().state_dict() | fisher | {f"ewc_anchor/{name}": value for name, value in self._anchor.items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], labels: int) -> None:
        """Takes back the network and, where the base version has them, Fisher information and anchor."""
        super().load_state_dict(state, labels)
        device = self.network.head.weight.device
        self._fisher = {name: value.to(device) for name, value in part_of(state, "ewc_fisher").items()}
        self._anchor = {name: value.to(device) for name, value in part_of(state, "ewc_anchor").items()}
