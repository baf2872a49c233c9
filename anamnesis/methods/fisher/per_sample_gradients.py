"""Squared gradients per image, summed over a batch: one forward pass, one backward pass, then layer by layer.

A layer's gradient for image n follows from its input a_n and the gradient g_n of its output. For a linear map it is
g_n a_n^T, and sum_n (g_n a_n^T)^2 = (g^2)^T (a^2) is one matrix product (Dangel, Kunstner and Hennig 2020, "BackPACK").
For a convolution it is the weight gradient of a convolution with one group per image.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from anamnesis.networks import GrowingHead, evaluation_mode

CHUNK_NUMBERS = 1 << 19
"""Size of one chunk of a convolution's gradients per image: 2 MiB, which fit in a processor's cache."""


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a layer that has parameters.

    Attributes:
        name: of the layer in its network, with a dot behind it.
        layer: the module.
        layer_input: [N, ...].
        input_version: of ``layer_input``; a later, different version shows that it was overwritten.
        output_edge: gives the gradient of the output, even if the output is overwritten later.
    """

    name: str
    layer: nn.Module
    layer_input: Tensor
    input_version: int
    output_edge: GradientEdge


@contextmanager
def record_layer_calls(network: nn.Module) -> Iterator[list[LayerCall]]:
    """Lists the calls of layers with parameters, in evaluation mode, where images do not influence each other.

    Inputs must require a gradient, so that frozen layers are recorded too. The network is not changed.

    Raises:
        ValueError: a layer is called twice in one pass, so that its gradient is a sum over its calls.
    """
    call_by_name: dict[str, LayerCall] = {}
    layer_calls: list[LayerCall] = []

    def make_hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if name in call_by_name:
                raise ValueError(
                    f"network layer {name}: called twice for one batch of images, but the Fisher information supports "
                    "one call only; choose another network.name, or a method without Fisher information"
                )
            call_by_name[name] = LayerCall(
                f"{name}.",
                layer,
                layer_input=inputs[0],
                input_version=inputs[0]._version,
                output_edge=get_gradient_edge(output),
            )
            layer_calls.append(call_by_name[name])

        return hook

    layers = [(n, m) for n, m in network.named_modules() if next(m.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(make_hook(name)) for name, layer in layers]
    try:
        with evaluation_mode(network), torch.enable_grad():
            yield layer_calls
    finally:
        for handle in hooks:
            handle.remove()


def add_squared_gradients(
    totals: dict[str, Tensor], layer_calls: list[LayerCall], output: Tensor, vectors: Tensor
) -> None:
    """Adds sum_n (d <vectors_n, output_n> / d theta)^2 to ``totals``, by parameter name; keeps the graph.

    Args:
        totals: float32, shaped like the parameters; parameters of unused layers are not changed.
        layer_calls: of the pass that made ``output``.
        output: [N, ...].
        vectors: of the same shape.

    Raises:
        TypeError: a layer of an unsupported type.
        ValueError: the input of a layer was overwritten.
    """
    gradients = torch.autograd.grad(
        output, [call.output_edge for call in layer_calls], vectors, True, allow_unused=True
    )
    with torch.no_grad():
        used_calls = [
            (call, gradient) for call, gradient in zip(layer_calls, gradients, strict=True) if gradient is not None
        ]
        for call, gradient in used_calls:
            if call.layer_input._version != call.input_version:
                raise ValueError(
                    f"network layer {call.name[:-1]}: another layer overwrote its input, so the Fisher information "
                    "would be wrong; choose another network.name, or a method without Fisher information"
                )
            for name, value in _squared_gradients(call, gradient.float()).items():
                totals[call.name + name] += value


def _squared_gradients(layer_call: LayerCall, gradient: Tensor) -> dict[str, Tensor]:
    """Returns sum_n of the layer's squared gradients by parameter name; ``gradient`` is of its output."""
    layer, layer_input = layer_call.layer, layer_call.layer_input.detach().float()
    if isinstance(layer, nn.Linear | GrowingHead) and layer_input.dim() == 2:
        squared_gradients = {"weight": gradient.square().T @ layer_input.square(), "bias": gradient.square().sum(0)}
    elif isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        squared_gradients = {
            "weight": _convolution_squared_gradients(layer, layer_input, gradient),
            "bias": gradient.sum((2, 3)).square().sum(0),
        }
    elif isinstance(layer, nn.GroupNorm):
        squared_gradients = _affine_squared_gradients(
            functional.group_norm(layer_input, layer.num_groups, eps=layer.eps), gradient
        )
    elif isinstance(layer, nn.BatchNorm2d):
        squared_gradients = _affine_squared_gradients(
            functional.batch_norm(layer_input, layer.running_mean, layer.running_var, eps=layer.eps), gradient
        )
    else:
        raise TypeError(
            f"network layer {layer_call.name[:-1]}: the Fisher information does not support {type(layer).__name__} "
            f"layers on inputs with {layer_input.dim()} axes; choose another network.name, or a method without Fisher "
            "information"
        )
    return {name: squared_gradients[name] for name, _ in layer.named_parameters(recurse=False)}


def _affine_squared_gradients(normalised_input: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    return {
        "weight": (normalised_input * gradient).sum((2, 3)).square().sum(0),
        "bias": gradient.sum((2, 3)).square().sum(0),
    }


def _convolution_squared_gradients(layer: nn.Conv2d, layer_input: Tensor, gradient: Tensor) -> Tensor:
    """Returns sum_n of the squared weight gradients: images become groups of one convolution, a few at a time."""
    weight, total = layer.weight, torch.zeros_like(layer.weight, dtype=torch.float32)
    chunk_size = max(1, CHUNK_NUMBERS // weight.numel())
    for images, gradients in zip(torch.split(layer_input, chunk_size), torch.split(gradient, chunk_size), strict=True):
        count = len(images)
        per_sample_gradients = conv2d_weight(  # type: ignore[no-untyped-call]
            images.reshape(1, -1, *images.shape[2:]),
            weight_size=(count * weight.shape[0], *weight.shape[1:]),
            grad_output=gradients.reshape(1, -1, *gradients.shape[2:]),
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=count * layer.groups,
        )
        total += per_sample_gradients.view(count, *weight.shape).square_().sum(0)
    return total
