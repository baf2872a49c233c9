"""A linear head that grows by the classes of each new task."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class GrowingHead(nn.Module):
    """Linear map [N, features] -> [N, classes]; ``grow`` appends rows and does not change the old ones."""

    def __init__(self, features: int, classes: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, features))
        self.bias = nn.Parameter(torch.zeros(classes))

    @property
    def classes(self) -> int:
        """Number of rows."""
        return self.weight.shape[0]

    def grow(self, classes: int, generator: torch.Generator) -> None:
        """Appends rows, drawn like those of ``nn.Linear``, up to ``classes`` rows.

        It replaces the parameter objects: call it before making the optimiser.
        """
        new_count = classes - self.classes
        if new_count <= 0:
            return
        bound = 1 / math.sqrt(self.weight.shape[1])
        rows = torch.empty(new_count, self.weight.shape[1]).uniform_(-bound, bound, generator=generator)
        device = self.weight.device
        self.weight = nn.Parameter(torch.cat([self.weight.data, rows.to(device)]))
        self.bias = nn.Parameter(torch.cat([self.bias.data, torch.zeros(new_count, device=device)]))

    def restart(self, rows: Sequence[int], generator: torch.Generator) -> None:
        """Draws ``rows`` again, like new ones; the parameter objects stay."""
        fresh_head = GrowingHead(self.weight.shape[1])
        fresh_head.grow(self.classes, generator)
        with torch.no_grad():
            self.weight[rows] = fresh_head.weight[rows].to(self.weight.device)
            self.bias[rows] = 0.0

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps ``rows`` alone, in this order. It replaces the parameter objects, as ``grow`` does."""
        kept_rows = torch.tensor(rows, dtype=torch.long, device=self.weight.device)
        self.weight = nn.Parameter(self.weight.data[kept_rows])
        self.bias = nn.Parameter(self.bias.data[kept_rows])

    def forward(self, features: Tensor) -> Tensor:
        """Maps [N, features] to logits [N, classes], always in float32: the losses read them."""
        with torch.autocast(features.device.type, enabled=False):
            return functional.linear(features.float(), self.weight, self.bias)
