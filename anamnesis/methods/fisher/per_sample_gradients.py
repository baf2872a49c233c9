"""Squared gradients per image, summed over a batch, of any network whose images do not influence each other.

A rule of ``layer_rules`` gives the gradients of a common layer. A parameter that is broadcast over images, such as a
class token, becomes one copy for each image. ``torch.func`` gives the gradients of all other layers. The first images
decide: what rules give for two of them together must equal what autograd gives for each alone, and where it does not,
autograd goes on image by image. So a layer that computes something else than its name says costs only time.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from anamnesis.methods.fisher.gradient_passes import (
    GradientPlan,
    NetworkOutput,
    OutputOf,
    RecordedPass,
    SeparatePasses,
    copy_parameters,
)
from anamnesis.methods.fisher.layer_calls import CallRecord, record_layer_calls
from anamnesis.methods.fisher.layer_rules import find_rule

RELATIVE_ERROR, SMALLEST_SHARE = 1e-2, 1e-8
"""Largest difference between rules and autograd, as a share of a parameter's values and of the largest parameter's."""


class SquaredGradients:
    """Squared gradients of an output of a network that is in evaluation mode.

    The network is not changed. Frozen parameters of a backbone have no gradients; a stage's others have.
    """

    def __init__(self, network: nn.Module, output_of: OutputOf) -> None:
        """Remembers the network; the first images decide how gradients are computed.

        Raises:
            ValueError: batch normalisation without running statistics, so that images influence each other.
        """
        for name, layer in network.named_modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is None:
                raise ValueError(
                    f"network layer {name}: batch normalisation without running statistics mixes images, so an image "
                    "has no Fisher information; choose a network with running statistics or another norm"
                )
        self._function = NetworkOutput(network, output_of)
        self.plan: GradientPlan | None = None
        self._has_plan = False

    def forward(self, images: Tensor, targets: Tensor) -> RecordedPass | SeparatePasses:
        """Returns a pass of images [N, ...] and targets [N, ...].

        Raises:
            ValueError: the output of an image depends on the other images.
        """
        if not self._has_plan:
            self.plan, self._has_plan = _make_plan(self._function, images[[0, -1]], targets[[0, -1]]), True
        if self.plan is None:
            return SeparatePasses(self._function, images, targets)
        return RecordedPass(self._function, images, targets, self.plan)


def add_squares(totals: dict[str, Tensor], squares: Mapping[str, Tensor]) -> None:
    """Adds what a pass returned to totals by the parameters' names in the network."""
    for name, value in squares.items():
        totals[name.removeprefix("network.")] += value


def _make_plan(function: NetworkOutput, images: Tensor, targets: Tensor) -> GradientPlan | None:
    """Returns a plan that agrees with autograd on these images, or none."""
    separate_passes = SeparatePasses(function, images, targets)
    vectors = torch.randn(separate_passes.output.shape, generator=torch.Generator().manual_seed(0))
    vectors = vectors.to(separate_passes.output)
    expected_squares = separate_passes.squared_gradients(vectors)
    with record_layer_calls(function, len(images)) as record:
        output = functional_call(function, copy_parameters(function), (images, targets))
    scale = float(separate_passes.output.detach().abs().max())
    if not torch.allclose(output, separate_passes.output, rtol=1e-2, atol=1e-3 * scale, equal_nan=True):
        raise ValueError(
            "network: the answer to an image depends on the other images of its batch, so an image has no Fisher "
            "information; choose another network, or a method without Fisher information"
        )
    for repeats_parameters in (True, False):
        plan = _assign_parameters(function, record, set(expected_squares), repeats_parameters)
        try:
            squares = RecordedPass(function, images, targets, plan).squared_gradients(vectors)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            continue  # a layer that rules, copies and torch.func cannot handle
        if _agree(squares, expected_squares):
            return plan
    return None


def _assign_parameters(
    function: NetworkOutput, record: CallRecord, used_names: set[str], repeats_parameters: bool
) -> GradientPlan:
    """Returns the plan: each parameter belongs to the innermost layer around it that was called with images."""
    clear_layers, repeated = record.clear_layers(), []
    layer_parameters: dict[str, dict[str, str]] = {}
    names = {id(parameter): name for name, parameter in function.named_parameters()}
    for path, parameter in function.named_parameters(remove_duplicate=False):
        name, layer_name = names[id(parameter)], path.rpartition(".")[0]
        if name not in used_names:
            continue
        has_rule = layer_name in clear_layers and find_rule(function.get_submodule(layer_name)) is not None
        if repeats_parameters and not has_rule and parameter.dim() > 1 and len(parameter) == 1:
            repeated.append(name)
            continue
        while layer_name and layer_name not in clear_layers:
            layer_name = layer_name.rpartition(".")[0]
        layer_parameters.setdefault(layer_name, {})[path[len(layer_name) :].lstrip(".")] = name
    called_layers = frozenset(call.layer_name for call in record.calls)
    return GradientPlan(tuple(dict.fromkeys(repeated)), layer_parameters, called_layers)


def _agree(squares: Mapping[str, Tensor], expected_squares: Mapping[str, Tensor]) -> bool:
    """Returns whether all values are equal but for rounding; parameters with almost no gradient are rounding alone."""
    largest = max(float(value.square().mean().sqrt()) for value in expected_squares.values())
    return all(
        name in squares
        and float((squares[name] - value).norm())
        <= RELATIVE_ERROR * float(value.norm()) + SMALLEST_SHARE * largest * value.numel() ** 0.5
        for name, value in expected_squares.items()
    )
