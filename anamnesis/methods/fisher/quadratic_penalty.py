"""The quadratic of elastic weight consolidation, 1/2 sum_j F_j (theta_j - theta*_j)^2 (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from anamnesis.methods.base import StateDict, part_tensors


class PenaltyMerge(StrEnum):
    """How the quadratic of the earlier tasks and that of the task that just ended become one."""

    ONLINE = "online"
    """One around the latest weights (Schwarz et al. 2018, Huszar 2018)."""
    EXACT = "exact"
    """Their sum, which is again one quadratic: around the mean of both anchors weighted by F, plus a constant."""


@dataclass(frozen=True, slots=True)
class QuadraticPenalty:
    """F and theta* by parameter name, shaped like the parameters; its size is constant in the number of tasks.

    Attributes:
        importance: F >= 0, float32.
        anchor: theta*.
    """

    importance: Mapping[str, Tensor] = field(default_factory=dict)
    anchor: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def around(cls, network: nn.Module, importance: Mapping[str, Tensor]) -> QuadraticPenalty:
        """Returns the quadratic of ``importance`` around the current weights of ``network``."""
        return cls(importance, {name: value.detach().clone() for name, value in network.named_parameters()})

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

    def merge(self, latest: QuadraticPenalty, decay: float, penalty_merge: PenaltyMerge) -> QuadraticPenalty:
        """Returns this one times ``decay``, plus ``latest``; where neither has importance the anchor is the latest."""
        if not self.importance:
            return latest
        importance, anchor = {}, dict(latest.anchor)
        for name, latest_importance in latest.importance.items():
            importance[name] = total = latest_importance + decay * self.importance[name]
            if penalty_merge is PenaltyMerge.EXACT:
                share = torch.where(total > 0, latest_importance / total, torch.ones_like(total))
                anchor[name] = torch.lerp(self.anchor[name], latest.anchor[name], share)
        return QuadraticPenalty(importance, anchor)

    def grow_to(self, network: nn.Module) -> QuadraticPenalty:
        """Returns it in the shape of the network's parameters; a new row has no importance, so no anchor matters."""
        shapes = dict(network.named_parameters())
        return QuadraticPenalty(_grow_tensors(self.importance, shapes), _grow_tensors(self.anchor, shapes))

    def state_dict(self) -> StateDict:
        """Returns F as ``ewc_fisher/<parameter>`` and theta* as ``ewc_anchor/<parameter>``."""
        fisher: StateDict = {f"ewc_fisher/{name}": value for name, value in self.importance.items()}
        return fisher | {f"ewc_anchor/{name}": value for name, value in self.anchor.items()}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor | object], device: torch.device) -> QuadraticPenalty:
        """Returns the quadratic of a state; an empty one where the state has none."""
        return cls(*(
            {name: value.to(device) for name, value in part_tensors(state, part).items()}
            for part in ("ewc_fisher", "ewc_anchor")
        ))  # fmt: skip


def _grow_tensors(values: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    grown_tensors = {}
    for name, value in values.items():
        grown_tensors[name] = torch.zeros_like(shapes[name], dtype=value.dtype, requires_grad=False)
        grown_tensors[name][: value.shape[0]] = value.to(shapes[name].device)
    return grown_tensors


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
