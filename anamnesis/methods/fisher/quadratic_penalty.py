"""The quadratic of elastic weight consolidation, 1/2 sum_j F_j (theta_j - theta*_j)^2 (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn


class PenaltyMerge(StrEnum):
    """How the quadratics of several sites become one."""

    ONLINE = "online"
    """One around the latest weights, those of the base version (Schwarz et al. 2018, Huszar 2018)."""
    EXACT = "exact"
    """Their sum, which is again one quadratic: around the mean of both anchors weighted by F, plus a constant."""


@dataclass(frozen=True, slots=True)
class QuadraticPenalty:
    """F and theta* by parameter name, shaped like the parameters; its size is constant in the number of sites.

    Attributes:
        importance: F >= 0, float32.
        anchor: theta*.
    """

    importance: Mapping[str, Tensor] = field(default_factory=dict)
    anchor: Mapping[str, Tensor] = field(default_factory=dict)

    def value(self, network: nn.Module) -> Tensor:
        """Returns the value as a scalar; its gradient is F (theta - theta*), exactly zero at the anchor."""
        names, parameters = list(self.importance), dict(network.named_parameters())
        return _QuadraticPenaltyFunction.apply(  # type: ignore[no-any-return, no-untyped-call]
            list(self.importance.values()), [self.anchor[n] for n in names], *(parameters[n] for n in names)
        )

    @torch.no_grad()
    def proximal_step(self, network: nn.Module, step_size: float) -> None:
        """Moves theta to (theta + s F theta*) / (1 + s F), the proximal step of s times this quadratic.

        Stable for any s >= 0, and with any optimiser before it: the fixed point of gradient steps alone would need
        s F_max below 2 (1 + momentum). Parameters that do not learn stay as they are.

        Args:
            network: whose parameters theta are.
            step_size: s, the step size times lambda.
        """
        trainable = {name: value for name, value in network.named_parameters() if value.requires_grad}
        names = [name for name in self.importance if name in trainable]
        if names:
            fractions = torch._foreach_mul([self.importance[n] for n in names], step_size)
            fractions = torch._foreach_div(fractions, torch._foreach_add(fractions, 1.0))
            torch._foreach_lerp_([trainable[n] for n in names], [self.anchor[n] for n in names], fractions)

    def add(self, other: QuadraticPenalty) -> QuadraticPenalty:
        """Returns the sum, up to a constant; the anchor is that of ``other`` where neither has importance."""
        if not self.importance:
            return other
        importance = {name: self.importance[name] + value for name, value in other.importance.items()}
        if self.anchor is other.anchor:
            return QuadraticPenalty(importance, self.anchor)
        anchor = dict(other.anchor)
        for name, value in other.importance.items():
            total = importance[name]
            share = torch.where(total > 0, value / total, torch.ones_like(total))
            anchor[name] = torch.lerp(self.anchor[name], other.anchor[name], share)
        return QuadraticPenalty(importance, anchor)


class _QuadraticPenaltyFunction(torch.autograd.Function):
    """Value and gradient over whole lists of tensors, without one graph node per parameter."""

    @staticmethod
    def forward(ctx: Any, importance: Sequence[Tensor], anchor: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        displacements = torch._foreach_sub(list(parameters), list(anchor))
        ctx.gradient = torch._foreach_mul(displacements, list(importance))
        products = [torch.dot(a.flatten(), b.flatten()) for a, b in zip(ctx.gradient, displacements, strict=True)]
        return 0.5 * torch.stack(products).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return (None, None, *torch._foreach_mul(ctx.gradient, gradients[0]))  # not in place: a graph may run twice
