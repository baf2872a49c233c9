"""Squared gradients per image, summed over a batch: one forward pass, one backward pass, then layer by layer.

A layer's gradient for image n follows from what went into it, a_n, and the gradient g_n of what came out. For a linear
map it is g_n a_n^T, and sum_n (g_n a_n^T)^2 = (g^2)^T (a^2) is one matrix product (Dangel, Kunstner and Hennig 2020,
"BackPACK"). For a convolution it is the weight gradient of a convolution with one group per image.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from anamnesis.networks import GrowingHead, evaluating

CHUNK = 1 << 19
"""Numbers that a convolution's gradients per image take at a time: 2 MiB, which a processor's cache holds."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer that has parameters.

    Attributes:
        name: of the layer in its network, with a dot behind it.
        layer: the module.
        given: what went in, [N, ...].
        version: of ``given``; another one later tells that it was overwritten.
        made: where the gradient of what came out is found, even if that is overwritten later.
    """

    name: str
    layer: nn.Module
    given: Tensor
    version: int
    made: GradientEdge


@contextmanager
def recorded(network: nn.Module) -> Iterator[list[Call]]:
    """Lists the calls of layers with parameters, in evaluation mode, where no image sees another.

    Inputs must require a gradient, so that frozen layers are seen too. The network is left as it was found.

    Raises:
        ValueError: a layer is called twice in one pass, so that its gradient is a sum over its calls.
    """
    calls: dict[str, Call] = {}
    listed: list[Call] = []

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            if name in calls:
                raise ValueError(f"{name}: called twice in one pass; there is no rule for layers that are shared")
            calls[name] = Call(f"{name}.", layer, given[0], given[0]._version, get_gradient_edge(made))
            listed.append(calls[name])

        return hook

    owners = [(n, m) for n, m in network.named_modules() if next(m.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(record(name)) for name, layer in owners]
    try:
        with evaluating(network), torch.enable_grad():
            yield listed
    finally:
        for handle in hooks:
            handle.remove()


def add_squares(total: dict[str, Tensor], calls: list[Call], output: Tensor, vectors: Tensor) -> None:
    """Adds sum_n (d <vectors_n, output_n> / d theta)^2 to ``total``, by parameter name; keeps the graph.

    Args:
        total: float32, shaped like the parameters; parameters that no layer of the pass used are left alone.
        calls: of the pass that made ``output``.
        output: [N, ...].
        vectors: of the same shape.

    Raises:
        TypeError: a layer of a kind that has no rule here.
        ValueError: what went into a layer was overwritten.
    """
    gradients = torch.autograd.grad(output, [call.made for call in calls], vectors, True, allow_unused=True)
    with torch.no_grad():
        used = [(call, gradient) for call, gradient in zip(calls, gradients, strict=True) if gradient is not None]
        for call, gradient in used:
            if call.given._version != call.version:
                raise ValueError(
                    f"{call.name[:-1]}: what went into it was overwritten; make the next layer out of place"
                )
            for name, value in _squares(call, gradient.float()).items():
                total[call.name + name] += value


def _squares(call: Call, gradient: Tensor) -> dict[str, Tensor]:
    """Returns sum_n of the layer's squared gradients by parameter name; ``gradient`` is of what came out."""
    layer, given = call.layer, call.given.detach().float()
    if isinstance(layer, nn.Linear | GrowingHead) and given.dim() == 2:
        found = {"weight": gradient.square().T @ given.square(), "bias": gradient.square().sum(0)}
    elif isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        found = {"weight": _convolution(layer, given, gradient), "bias": gradient.sum((2, 3)).square().sum(0)}
    elif isinstance(layer, nn.GroupNorm):
        found = _scale(functional.group_norm(given, layer.num_groups, eps=layer.eps), gradient)
    elif isinstance(layer, nn.BatchNorm2d):
        found = _scale(functional.batch_norm(given, layer.running_mean, layer.running_var, eps=layer.eps), gradient)
    else:
        raise TypeError(
            f"{call.name[:-1]}: no rule for the squared gradients of {type(layer).__name__} on {given.dim()} axes"
        )
    return {name: found[name] for name, _ in layer.named_parameters(recurse=False)}


def _scale(normal: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    return {
        "weight": (normal * gradient).sum((2, 3)).square().sum(0),
        "bias": gradient.sum((2, 3)).square().sum(0),
    }


def _convolution(layer: nn.Conv2d, given: Tensor, gradient: Tensor) -> Tensor:
    """Returns sum_n of the squared weight gradients: images become groups of one convolution, a few at a time."""
    weight, total = layer.weight, torch.zeros_like(layer.weight, dtype=torch.float32)
    few = max(1, CHUNK // weight.numel())
    for images, gradients in zip(torch.split(given, few), torch.split(gradient, few), strict=True):
        count = len(images)
        each = conv2d_weight(  # type: ignore[no-untyped-call]
            images.reshape(1, -1, *images.shape[2:]),
            (count * weight.shape[0], *weight.shape[1:]),
            gradients.reshape(1, -1, *gradients.shape[2:]),
            layer.stride,
            layer.padding,
            layer.dilation,
            count * layer.groups,
        )
        total += each.view(count, *weight.shape).square_().sum(0)
    return total
