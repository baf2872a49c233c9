"""The penalty of elastic weight consolidation: lambda/2 sum_j F_j (theta_j - theta*_j)^2 (Kirkpatrick et al. 2017)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class _Quadratic(torch.autograd.Function):
    """Value and gradient over whole lists of tensors, without one graph node per parameter."""

    @staticmethod
    def forward(
        ctx: Any, strength: float, importance: Sequence[Tensor], anchor: Sequence[Tensor], *parameters: Tensor
    ) -> Tensor:
        moved = torch._foreach_sub(list(parameters), list(anchor))
        pull = torch._foreach_mul(moved, list(importance))
        torch._foreach_mul_(pull, strength)
        ctx.pull = pull
        products = [torch.dot(a.flatten(), b.flatten()) for a, b in zip(pull, moved, strict=True)]
        return 0.5 * torch.stack(products).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return (None, None, None, *torch._foreach_mul(ctx.pull, gradients[0]))  # may be asked for twice


def quadratic_penalty(
    network: nn.Module, strength: float, importance: Mapping[str, Tensor], anchor: Mapping[str, Tensor]
) -> Tensor:
    """Returns the penalty as a scalar; its gradient is lambda F (theta - theta*), exactly zero at the anchor.

    Args:
        network: whose parameters theta are.
        strength: lambda.
        importance: F by parameter name, shaped like the parameter.
        anchor: theta* by parameter name.
    """
    parameters = dict(network.named_parameters())
    names = list(importance)
    return _Quadratic.apply(  # type: ignore[no-any-return, no-untyped-call]
        strength, [importance[n] for n in names], [anchor[n] for n in names], *(parameters[n] for n in names)
    )


def grow_rows(values: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Returns ``values`` shaped like the network's parameters now, with zeros in rows that are new.

    A new row has no importance yet, so that its anchor does not matter.
    """
    parameters = dict(network.named_parameters())
    grown = {}
    for name, value in values.items():
        target = torch.zeros_like(parameters[name], dtype=value.dtype)
        target[: value.shape[0]] = value.to(target.device)
        grown[name] = target
    return grown
