"""Cross-entropy on the new data."""

from torch import Tensor
from torch.nn import functional

from anamnesis.methods.classification import SoftmaxScope, restrict_logits
from anamnesis.methods.loss_term import ForwardOutput, LossTerm


class ClassificationLoss(LossTerm):
    """Mean cross-entropy over the classes that compete: those of the task at hand, or all seen so far."""

    name = "classification"

    def __init__(self, weight: float, softmax_scope: SoftmaxScope) -> None:
        super().__init__(weight)
        self.softmax_scope = softmax_scope

    def loss(self, output: ForwardOutput) -> Tensor:
        """-1/N sum_i log p(y_i | x_i)."""
        class_indices = output.class_indices if self.softmax_scope is SoftmaxScope.TASK else ()
        return functional.cross_entropy(restrict_logits(output.logits, class_indices), output.targets)
