"""Which task each class belongs to."""

from collections.abc import Mapping

import torch
from torch import Tensor

from anamnesis.methods.base import Data, State, TaskContext, part_of
from anamnesis.methods.loss_term import Term
from anamnesis.networks import Classifier


class Groups(Term):
    """The number of the task in which each class was first met; no loss.

    Attributes:
        of_class: [K].
        fresh: the classes that the task at hand met first.
    """

    name = "groups"

    def __init__(self) -> None:
        super().__init__(1.0)
        self.of_class = torch.zeros(0, dtype=torch.long)
        self.fresh: frozenset[int] = frozenset()

    def begin(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Gives the classes that are new the next number."""
        self.fresh = frozenset(range(len(self.of_class), len(context.labels)))
        grown = torch.full((len(context.labels),), -1)
        grown[: len(self.of_class)] = self.of_class.cpu()
        grown[grown < 0] = grown.max() + 1
        self.of_class = grown.to(network.head.weight.device)

    def mean_over(self, values: Tensor) -> Tensor:
        """Returns, for each row of values [K, ...], the mean over the rows of its group."""
        same = (self.of_class[:, None] == self.of_class).to(values)
        return torch.einsum("kj,j...->k...", same / same.sum(1, keepdim=True), values)

    def state_dict(self) -> State:
        """The numbers."""
        return {f"{self.name}/of_class": self.of_class}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes them back."""
        self.of_class = part_of(state, self.name).get("of_class", torch.zeros(0, dtype=torch.long)).to(device)
