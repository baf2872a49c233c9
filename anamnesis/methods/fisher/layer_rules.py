"""Gradients per image of the layers that are common in networks, from a layer's input and its output's gradient.

For a linear map of tokens t the gradient of image n is sum_t g_nt a_nt^T, one product of matrices an image (Dangel,
Kunstner and Hennig 2020, "BackPACK"). For a convolution it is the weight gradient of a convolution with one group per
image. For a norm or a scale it is a sum over places.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional, grad

LayerRule = Callable[[Any, Tensor, Tensor, int], dict[str, Tensor]]
"""Layer, input and gradient of the output, both [n k, ...], and the number of images n -> gradients [n, ...] by name.

An image may have k rows, such as the windows of an attention; they follow each other.
"""

_WEIGHT_GRADIENTS = {3: grad.conv1d_weight, 4: grad.conv2d_weight, 5: grad.conv3d_weight}


def find_rule(layer: nn.Module) -> LayerRule | None:
    """Returns the rule for a layer's class; a class that changes what its parent computes has a name of its own."""
    return RULES.get(type(layer).__name__)


def linear_gradients(layer: nn.Module, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of a linear map over the last axis; all axes between are tokens."""
    tokens = layer_input.reshape(count, -1, layer_input.shape[-1])
    token_gradients = gradient.reshape(count, -1, gradient.shape[-1])
    return {"weight": token_gradients.transpose(1, 2) @ tokens, "bias": token_gradients.sum(1)}


def convolution_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of a convolution of one to three spatial axes, with any padding."""
    layer_input, padding = _pad_input(layer, layer_input)
    bias = gradient.flatten(2).sum(2)
    if layer.groups == 1 and set(layer.kernel_size) == set(layer.stride) == {1} and not any(padding):
        weight = (gradient.flatten(2) @ layer_input.flatten(2).transpose(1, 2)).view(-1, *layer.weight.shape)
    else:
        rows = len(layer_input)
        weight = _WEIGHT_GRADIENTS[
            layer_input.dim()
        ](  # type: ignore[no-untyped-call]
            layer_input.reshape(1, -1, *layer_input.shape[2:]),
            weight_size=(rows * layer.weight.shape[0], *layer.weight.shape[1:]),
            grad_output=gradient.reshape(1, -1, *gradient.shape[2:]),
            stride=layer.stride,
            padding=padding,
            dilation=layer.dilation,
            groups=rows * layer.groups,
        ).view(rows, *layer.weight.shape)
    return {"weight": _sum_rows(weight, count), "bias": _sum_rows(bias, count)}


def batch_norm_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of batch normalisation in evaluation mode, with the activation that timm puts behind it."""
    normalised_input = functional.batch_norm(layer_input, layer.running_mean, layer.running_var, eps=layer.eps)
    return _affine_gradients(layer, normalised_input, gradient, count)


def group_norm_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of group normalisation, with the activation that timm puts behind it."""
    normalised_input = functional.group_norm(layer_input, layer.num_groups, eps=layer.eps)
    return _affine_gradients(layer, normalised_input, gradient, count)


def instance_norm_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of instance normalisation with or without running statistics."""
    normalised_input = functional.instance_norm(
        layer_input,
        layer.running_mean,
        layer.running_var,
        use_input_stats=not layer.track_running_stats,
        eps=layer.eps,
    )
    return _affine_gradients(layer, normalised_input, gradient, count)


def layer_norm_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of layer normalisation over the last axes; all axes between are tokens."""
    shape = tuple(layer.normalized_shape)
    normalised_input = functional.layer_norm(layer_input, shape, eps=layer.eps)
    return {
        "weight": (normalised_input * gradient).reshape(count, -1, *shape).sum(1),
        "bias": gradient.reshape(count, -1, *shape).sum(1),
    }


def channel_layer_norm_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of layer normalisation over the channels of maps [n, C, h, w] (timm's ``LayerNorm2d``)."""
    return layer_norm_gradients(layer, layer_input.movedim(1, -1), gradient.movedim(1, -1), count)


def scale_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of timm's ``LayerScale``, a factor for each place of the last axis."""
    return {"gamma": (layer_input * gradient).reshape(count, -1, layer_input.shape[-1]).sum(1)}


def channel_scale_gradients(layer: Any, layer_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    """Returns those of timm's ``LayerScale2d``, a factor for each channel."""
    return {"gamma": _sum_places(layer_input * gradient, count)}


def _affine_gradients(layer: Any, normalised_input: Tensor, gradient: Tensor, count: int) -> dict[str, Tensor]:
    if hasattr(layer, "act"):
        gradient = _before_activation(layer, normalised_input, gradient)
    return {"weight": _sum_places(normalised_input * gradient, count), "bias": _sum_places(gradient, count)}


def _before_activation(layer: Any, normalised_input: Tensor, gradient: Tensor) -> Tensor:
    """Returns the gradient of the norm's output from that of the activation behind it."""
    shape = (-1, *[1] * (normalised_input.dim() - 2))
    with torch.enable_grad():
        output = (normalised_input * layer.weight.detach().view(shape) + layer.bias.detach().view(shape)).detach()
        output.requires_grad_()
        activated = layer.act(layer.drop(output.clone()))  # a copy: the activation may work in place
        (output_gradient,) = torch.autograd.grad(activated, output, gradient)
    return output_gradient  # type: ignore[no-any-return]


def _sum_places(values: Tensor, count: int) -> Tensor:
    """Returns the sums [n, C] over all rows and places of values [n k, C, ...]."""
    return _sum_rows(values.reshape(*values.shape[:2], -1).sum(2), count)


def _sum_rows(values: Tensor, count: int) -> Tensor:
    return values if len(values) == count else values.view(count, -1, *values.shape[1:]).sum(1)


def _pad_input(layer: Any, layer_input: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Returns the input with the padding that a weight gradient cannot express, and the padding that remains."""
    no_padding = (0,) * len(layer.kernel_size)
    if type(layer).__name__ == "Conv2dSame":  # as TensorFlow: more behind than before, so that the size is in / stride
        sides: list[int] = []
        for size, kernel, stride, dilation in zip(
            layer_input.shape[2:], layer.kernel_size, layer.stride, layer.dilation, strict=True
        ):
            padding = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            sides = [padding // 2, padding - padding // 2, *sides]  # the last axis comes first
        return functional.pad(layer_input, sides), no_padding
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        return functional.pad(layer_input, layer._reversed_padding_repeated_twice, mode), no_padding
    return layer_input, layer.padding


RULES: Mapping[str, LayerRule] = {
    **dict.fromkeys(("Linear", "GrowingHead"), linear_gradients),
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d", "Conv2dSame"), convolution_gradients),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "BatchNormAct2d"), batch_norm_gradients),
    **dict.fromkeys(("GroupNorm", "GroupNorm1", "GroupNormAct"), group_norm_gradients),
    **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), instance_norm_gradients),
    **dict.fromkeys(("LayerNorm", "LayerNormFp32"), layer_norm_gradients),
    **dict.fromkeys(("LayerNorm2d", "LayerNorm2dFp32"), channel_layer_norm_gradients),
    "LayerScale": scale_gradients,
    "LayerScale2d": channel_scale_gradients,
}
