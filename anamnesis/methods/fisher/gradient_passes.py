"""Passes of images through a network that give the squared gradients per image of all parameters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from anamnesis.methods.fisher.layer_calls import LayerCall, record_layer_calls
from anamnesis.methods.fisher.layer_rules import find_rule
from anamnesis.networks import find_learnable

CHUNK_NUMBERS = 1 << 19
"""Size of one chunk of a layer's gradients per image: 2 MiB, which fit in a processor's cache."""

OutputOf = Callable[[Tensor, Tensor], Tensor]
"""Images [N, ...] and targets [N, ...] -> output [N, ...]."""


class NetworkOutput(nn.Module):
    """An output of a network as a module: every layer and parameter that it may use is below it."""

    def __init__(self, network: nn.Module, output_of: OutputOf) -> None:
        super().__init__()
        self.network, self.output_of = network, output_of

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Maps images [N, ...] and targets [N, ...] to the output [N, ...]."""
        return self.output_of(images, targets)


@dataclass(frozen=True, slots=True)
class GradientPlan:
    """How the gradients of each parameter are computed.

    Attributes:
        repeated: names of the parameters that become one copy for each image.
        layer_parameters: the other parameters that the output depends on: for each layer its own name of a parameter,
            and the parameter's name in the network. Two layers may share one.
        called_layers: names of the layers that the output calls.
    """

    repeated: tuple[str, ...]
    layer_parameters: Mapping[str, Mapping[str, str]]
    called_layers: frozenset[str]


class RecordedPass:
    """One pass of images together; gradients follow from the calls of layers.

    Attributes:
        output: [N, ...].
    """

    def __init__(self, function: NetworkOutput, images: Tensor, targets: Tensor, plan: GradientPlan) -> None:
        self._plan, self._image_count = plan, len(images)
        self._parameters = copy_parameters(function, plan.repeated, len(images))
        with record_layer_calls(function, len(images)) as record:
            self.output: Tensor = functional_call(function, self._parameters, (images, targets))
        new_layers = {call.layer_name for call in record.calls} - plan.called_layers
        if new_layers:
            raise ValueError(
                f"network layer {min(new_layers)}: called for some images and not for the first ones, so the Fisher "
                "information would be wrong; choose another network, or a method without Fisher information"
            )
        self._calls = [call for call in record.calls if call.layer_name in plan.layer_parameters]

    def squared_gradients(self, vectors: Tensor) -> dict[str, Tensor]:
        """Returns sum_n (d <vectors_n, output_n> / d theta)^2 by name of the parameter; keeps the graph."""
        copies = [self._parameters[name] for name in self._plan.repeated]
        sources: list[Any] = [*(call.output_edge for call in self._calls), *copies]
        gradients = torch.autograd.grad(self.output, sources, vectors, retain_graph=True, allow_unused=True)
        used_calls = [
            (call, _to_accurate(gradient))
            for call, gradient in zip(self._calls, gradients, strict=False)
            if gradient is not None
        ]
        with torch.no_grad():
            squares = {
                name: _to_accurate(gradient).square().sum(0, keepdim=True)
                for name, gradient in zip(self._plan.repeated, gradients[len(self._calls) :], strict=True)
                if gradient is not None
            }
            for group in self._group_calls(used_calls):
                squares |= self._square_group(group)
        return squares

    def _group_calls(self, calls: list[tuple[LayerCall, Tensor]]) -> Iterator[list[tuple[LayerCall, Tensor]]]:
        """Yields calls that share parameters together: their gradients are added up before they are squared."""
        groups: dict[str, list[tuple[LayerCall, Tensor]]] = {}
        for call, gradient in calls:
            names = self._plan.layer_parameters[call.layer_name].values()
            linked_groups = {id(groups[name]): groups[name] for name in names if name in groups}
            merged = [pair for group in linked_groups.values() for pair in group] + [(call, gradient)]
            for merged_call, _ in merged:
                groups.update(dict.fromkeys(self._plan.layer_parameters[merged_call.layer_name].values(), merged))
        yield from {id(group): group for group in groups.values()}.values()

    def _square_group(self, group: list[tuple[LayerCall, Tensor]]) -> dict[str, Tensor]:
        names = {name for call, _ in group for name in self._plan.layer_parameters[call.layer_name].values()}
        chunk_size = max(1, CHUNK_NUMBERS // max(self._parameters[name].numel() for name in names))
        squares: dict[str, Tensor] = {}
        for first in range(0, self._image_count, chunk_size):
            rows = slice(first, min(first + chunk_size, self._image_count))
            sums: dict[str, Tensor] = {}
            for call, gradient in group:
                for name, value in self._call_gradients(call, gradient, rows).items():
                    sums[name] = sums[name] + value if name in sums else value
            for name, value in sums.items():
                total = value.square_().sum(0)
                squares[name] = squares[name].add_(total) if name in squares else total
        return squares

    def _call_gradients(self, call: LayerCall, gradient: Tensor, images: slice) -> dict[str, Tensor]:
        """Returns the gradients [n, ...] of a layer's parameters for some of the images."""
        if call.layer_input._version != call.input_version:
            raise ValueError(
                f"network layer {call.layer_name}: another layer overwrote its input, so the Fisher information "
                "would be wrong; choose another network, or a method without Fisher information"
            )
        own_names, count = self._plan.layer_parameters[call.layer_name], images.stop - images.start
        arguments = [
            _select_images(value.detach(), images, self._image_count) if isinstance(value, Tensor) else value
            for value in call.arguments
        ]
        output_gradient = _select_images(gradient, images, self._image_count)
        rule = find_rule(call.layer)
        if rule and own_names.keys() <= call.layer._parameters.keys():
            values = rule(call.layer, _to_accurate(arguments[0]), output_gradient, count)
        else:
            values = _differentiate(call, arguments, output_gradient, own_names, count)
        return {name: values[own_name] for own_name, name in own_names.items()}


class SeparatePasses:
    """One pass for each image, and plain autograd: the definition.

    Attributes:
        output: [N, ...].
    """

    def __init__(self, function: NetworkOutput, images: Tensor, targets: Tensor) -> None:
        self._parameters = copy_parameters(function)
        self._outputs = [
            functional_call(function, self._parameters, pair)
            for pair in zip(torch.split(images, 1), torch.split(targets, 1), strict=True)
        ]
        self.output = torch.cat(self._outputs)

    def squared_gradients(self, vectors: Tensor) -> dict[str, Tensor]:
        """Returns sum_n (d <vectors_n, output_n> / d theta)^2 by name of the parameter; keeps the graphs."""
        squares: dict[str, Tensor] = {}
        for output, vector in zip(self._outputs, torch.split(vectors, 1), strict=True):
            parameters = list(self._parameters.values())
            gradients = torch.autograd.grad(output, parameters, vector, retain_graph=True, allow_unused=True)
            for name, gradient in zip(self._parameters, gradients, strict=True):
                if gradient is not None:
                    square = _to_accurate(gradient).square()
                    squares[name] = squares[name].add_(square) if name in squares else square
        return squares


def copy_parameters(function: nn.Module, repeated: tuple[str, ...] = (), count: int = 0) -> dict[str, Tensor]:
    """Returns the values of the parameters that learn, with a gradient; the repeated ones with ``count`` rows."""
    values = {name: parameter.detach() for name, parameter in find_learnable(function).items()}
    values |= {name: values[name].expand(count, *values[name].shape[1:]) for name in repeated}
    return {name: value.requires_grad_() for name, value in values.items()}


def _differentiate(
    call: LayerCall, arguments: list[Tensor], output_gradient: Tensor, names: Mapping[str, str], count: int
) -> dict[str, Tensor]:
    """Returns the gradients [n, ...] of some parameters of a layer by ``torch.func``."""
    parameters = {name: parameter.detach() for name, parameter in call.layer.named_parameters()}
    chosen_parameters = {name: parameters.pop(name) for name in names}

    def product(chosen: dict[str, Tensor], gradient: Tensor, *values: Tensor) -> Tensor:
        output = functional_call(call.layer, {**parameters, **chosen}, values, dict(call.keywords))
        return (output * gradient).sum()  # type: ignore[no-any-return]

    images = [value.reshape(count, -1, *value.shape[1:]) if isinstance(value, Tensor) else value for value in arguments]
    axes = tuple(0 if isinstance(value, Tensor) else None for value in images)
    gradient = output_gradient.reshape(count, -1, *output_gradient.shape[1:])
    return vmap(grad(product), in_dims=(None, 0, *axes))(chosen_parameters, gradient, *images)  # type: ignore[no-any-return]


def _select_images(value: Tensor, images: slice, image_count: int) -> Tensor:
    """Returns the rows [n k, ...] of some images out of all [N k, ...]."""
    rows = len(value) // image_count
    return value[images.start * rows : images.stop * rows]


def _to_accurate(value: Tensor) -> Tensor:
    """Returns values in float32, or in float64 where they are."""
    return value if value.dtype == torch.float64 else value.float()
