"""The calls of the layers of a network during one pass, and which parameters each of them can explain."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a layer with a tensor of images, to another tensor of images.

    Attributes:
        layer_name: of the layer in its network.
        layer: the module.
        arguments: the tensors among them are [n k, ...]: k rows for each image.
        keywords: no tensors.
        input_version: of the first tensor; a later, different version shows that it was overwritten.
        output_edge: gives the gradient of the output, even if the output is overwritten later.
    """

    layer_name: str
    layer: nn.Module
    arguments: tuple[Any, ...]
    keywords: Mapping[str, object]
    input_version: int
    output_edge: GradientEdge

    @property
    def layer_input(self) -> Tensor:
        """The tensor [n k, ...] that the layer was called with."""
        return self.arguments[0]  # type: ignore[no-any-return]


@dataclass(slots=True)
class CallRecord:
    """What the layers of a network were called with.

    Attributes:
        calls: in the order of the pass.
        unclear_layers: names of layers with a call that has not one tensor of images in and one out.
    """

    calls: list[LayerCall] = field(default_factory=list)
    unclear_layers: set[str] = field(default_factory=set)

    def clear_layers(self) -> set[str]:
        """Returns the names of the layers of which every call is listed."""
        return {call.layer_name for call in self.calls} - self.unclear_layers


@contextmanager
def record_layer_calls(network: nn.Module, image_count: int) -> Iterator[CallRecord]:
    """Lists the calls of all layers whose output has a gradient, while it is open.

    The network itself is the layer with an empty name; all its arguments are tensors of images.
    """
    record = CallRecord()
    handles = [
        layer.register_forward_hook(partial(_record_call, record, name, image_count), with_kwargs=True)
        for name, layer in network.named_modules()
    ]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()


def _record_call(
    record: CallRecord,
    name: str,
    image_count: int,
    layer: nn.Module,
    arguments: tuple[Any, ...],
    keywords: dict[str, object],
    output: Any,
) -> None:
    tensors = arguments[:1] if name else arguments
    plain_values = (*arguments[len(tensors) :], *keywords.values())
    has_images = bool(tensors) and all(_has_images(value, image_count) for value in (*tensors, output))
    if not has_images or not all(isinstance(value, int | float | str | None) for value in plain_values):
        record.unclear_layers.add(name)
    elif output.requires_grad:  # else no parameter behind it has a gradient
        version, edge = arguments[0]._version, get_gradient_edge(output)
        record.calls.append(LayerCall(name, layer, arguments, keywords, input_version=version, output_edge=edge))


def _has_images(value: object, image_count: int) -> bool:
    return isinstance(value, Tensor) and bool(value.dim()) and value.shape[0] % image_count == 0
