"""The quadratic of elastic weight consolidation, 1/2 sum_j F_j (theta_j - theta*_j)^2 (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn


class Merging(StrEnum):
    """What becomes of two quadratics, one of the tasks before and one of the task that just ended."""

    ONLINE = "online"
    """One around the latest weights (Schwarz et al. 2018, Huszar 2018)."""
    EXACT = "exact"
    """Their sum, which is again one quadratic: around the mean of both anchors weighted by F, plus a constant."""


@dataclass(frozen=True, slots=True)
class Quadratic:
    """F and theta* by parameter name, shaped like the parameters; constant in the number of tasks.

    Attributes:
        importance: F >= 0, float32.
        anchor: theta*.
    """

    importance: Mapping[str, Tensor] = field(default_factory=dict)
    anchor: Mapping[str, Tensor] = field(default_factory=dict)

    def penalty(self, network: nn.Module) -> Tensor:
        """Returns the value as a scalar; its gradient is F (theta - theta*), exactly zero at the anchor."""
        names, parameters = list(self.importance), dict(network.named_parameters())
        return _Penalty.apply(  # type: ignore[no-any-return, no-untyped-call]
            list(self.importance.values()), [self.anchor[n] for n in names], *(parameters[n] for n in names)
        )

    @torch.no_grad()
    def pull(self, network: nn.Module, strength: float) -> None:
        """Moves theta to (theta + s F theta*) / (1 + s F), the proximal step of s times this quadratic.

        Stable for any s >= 0, and with any optimiser before it: the fixed point of gradient steps alone would need
        s F_max below 2 (1 + momentum). Parameters that do not learn stay as they are.

        Args:
            network: whose parameters theta are.
            strength: s, the step size times lambda.
        """
        learning = {name: value for name, value in network.named_parameters() if value.requires_grad}
        names = [name for name in self.importance if name in learning]
        if names:
            share = torch._foreach_mul([self.importance[n] for n in names], strength)
            share = torch._foreach_div(share, torch._foreach_add(share, 1.0))
            torch._foreach_lerp_([learning[n] for n in names], [self.anchor[n] for n in names], share)

    def merged(self, latest: Quadratic, decay: float, merging: Merging) -> Quadratic:
        """Returns this one times ``decay``, plus ``latest``; where neither has importance the anchor is the latest."""
        if not self.importance:
            return latest
        importance, anchor = {}, dict(latest.anchor)
        for name, fresh in latest.importance.items():
            importance[name] = total = fresh + decay * self.importance[name]
            if merging is Merging.EXACT:
                share = torch.where(total > 0, fresh / total, torch.ones_like(total))
                anchor[name] = torch.lerp(self.anchor[name], latest.anchor[name], share)
        return Quadratic(importance, anchor)

    def grown(self, network: nn.Module) -> Quadratic:
        """Returns it shaped like the network's parameters now; a new row has no importance, so no anchor matters."""
        shapes = dict(network.named_parameters())
        return Quadratic(_grown(self.importance, shapes), _grown(self.anchor, shapes))


def _grown(values: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    grown = {}
    for name, value in values.items():
        grown[name] = torch.zeros_like(shapes[name], dtype=value.dtype, requires_grad=False)
        grown[name][: value.shape[0]] = value.to(shapes[name].device)
    return grown


class _Penalty(torch.autograd.Function):
    """Value and gradient over whole lists of tensors, without one graph node per parameter."""

    @staticmethod
    def forward(ctx: Any, importance: Sequence[Tensor], anchor: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        moved = torch._foreach_sub(list(parameters), list(anchor))
        ctx.pull = torch._foreach_mul(moved, list(importance))
        products = [torch.dot(a.flatten(), b.flatten()) for a, b in zip(ctx.pull, moved, strict=True)]
        return 0.5 * torch.stack(products).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return (None, None, *torch._foreach_mul(ctx.pull, gradients[0]))  # not in place: a graph may run twice
