"""Cross-entropy on the new data."""

from torch import Tensor
from torch.nn import functional

from anamnesis.methods.classification import Competing, only
from anamnesis.methods.loss_term import Pass, Term


class Classification(Term):
    """Mean cross-entropy over the classes that compete: those of the task at hand, or all seen so far."""

    name = "classification"

    def __init__(self, weight: float, competing: Competing) -> None:
        super().__init__(weight)
        self.competing = competing

    def loss(self, run: Pass) -> Tensor:
        """-1/N sum_i log p(y_i | x_i)."""
        columns = run.columns if self.competing is Competing.TASK else ()
        return functional.cross_entropy(only(run.logits, columns), run.targets)
