"""Cross-entropy on the new data."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from anamnesis.methods.classification import SoftmaxScope, restrict_logits
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.records.option_checks import check_bounds, not_negative


@dataclass(frozen=True, slots=True)
class ClassificationOptions:
    """The cross-entropy.

    Attributes:
        weight: of the cross-entropy.
        competing: which classes compete in the softmax: ``task`` (old rows of the head do not change) or ``seen``.
    """

    weight: float = not_negative(1.0)
    competing: SoftmaxScope = SoftmaxScope.TASK

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.classification", self)


class ClassificationLoss(LossTerm):
    """Mean cross-entropy over the classes that compete: those of the current task, or all seen so far."""

    name = "classification"

    def __init__(self, options: ClassificationOptions) -> None:
        super().__init__(options.weight)
        self.options = options

    def loss(self, output: ForwardOutput) -> Tensor:
        """-1/N sum_i log p(y_i | x_i)."""
        class_indices = output.class_indices if self.options.competing is SoftmaxScope.TASK else ()
        return functional.cross_entropy(restrict_logits(output.logits, class_indices), output.targets)
