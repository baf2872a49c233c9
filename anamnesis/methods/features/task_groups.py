"""The task of each class."""

from collections.abc import Mapping

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict, TaskContext, part_tensors
from anamnesis.methods.method_component import MethodComponent
from anamnesis.networks import Classifier


class TaskGroups(MethodComponent):
    """The number of the task that taught each class first.

    Attributes:
        task_of_class: [K].
    """

    name = "groups"

    def __init__(self) -> None:
        self.task_of_class = torch.zeros(0, dtype=torch.long)

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Gives new classes the next number."""
        task_numbers = torch.full((len(context.labels),), -1)
        task_numbers[: len(self.task_of_class)] = self.task_of_class.cpu()
        task_numbers[task_numbers < 0] = task_numbers.max() + 1
        self.task_of_class = task_numbers.to(network.head.weight.device)

    def forget_site(self, network: Classifier, site: str, kept_columns: tuple[int, ...]) -> None:
        """Keeps the numbers of ``kept_columns``."""
        self.task_of_class = self.task_of_class[list(kept_columns)]

    def task_means(self, values: Tensor) -> Tensor:
        """Returns, for each row of values [K, ...], the mean over the rows of its group."""
        is_same_task = (self.task_of_class[:, None] == self.task_of_class).to(values)
        return torch.einsum("kj,j...->k...", is_same_task / is_same_task.sum(1, keepdim=True), values)

    def state_dict(self) -> StateDict:
        """Returns the numbers."""
        return {f"{self.name}/of_class": self.task_of_class}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores the numbers."""
        self.task_of_class = part_tensors(state, self.name).get("of_class", torch.zeros(0, dtype=torch.long)).to(device)
