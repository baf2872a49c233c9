"""The frozen part of a backbone: the layers before the first one that learns.

Its maps stay the same through all training, so several networks can read them, and they can be stored. torch.fx says
which layers depend on no learnable layer, whatever the library. Where it cannot, a backbone has no frozen part.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from anamnesis.networks.fast_inference import FastInference, almost_equal
from anamnesis.networks.meta_copy import copy_to_meta
from anamnesis.networks.modes import evaluation_mode

if TYPE_CHECKING:  # it imports this module
    from anamnesis.networks.backbone import Backbone


@dataclass(frozen=True, slots=True)
class BackboneParts:
    """A backbone in two parts; they share its layers.

    Attributes:
        frozen: images [N, C, *sides] in [0, 1] to one map [N, F, ...].
        learning: that map to the last level.
        attributes: the tensors that the parts read besides the layers, by their names in the backbone.
    """

    frozen: FastInference
    learning: nn.Module
    attributes: tuple[tuple[str, Tensor], ...]

    def fit(self, backbone: "Backbone") -> bool:
        """Returns whether the backbone still has the tensors that the parts read; a move to a device replaces them."""
        return all(operator.attrgetter(name)(backbone) is tensor for name, tensor in self.attributes)


class _Tracer(fx.Tracer):
    """Traces into the modules that have both frozen and learnable parameters; all others are layers."""

    traced_func_name = "last_level"

    def __init__(self, backbone: "Backbone") -> None:
        super().__init__()
        self._backbone = backbone

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return len(set(_are_frozen(self._backbone, module_qualified_name))) < 2


class KnownParts:
    """The parts of a backbone, once they were computed; a copy of the backbone computes its own."""

    def __init__(self, image_shape: tuple[int, ...] = ()) -> None:
        self._image_shape = image_shape
        self._parts: BackboneParts | None = None
        self._is_known = not image_shape

    def __deepcopy__(self, memo: dict[int, object]) -> "KnownParts":
        return KnownParts(self._image_shape)

    def of(self, backbone: "Backbone") -> BackboneParts | None:
        """Returns the parts of ``backbone``, whose cache this is."""
        if not self._is_known or (self._parts and not self._parts.fit(backbone)):
            self._parts, self._is_known = split_backbone(backbone, self._image_shape), True
        return self._parts


def split_backbone(backbone: "Backbone", image_shape: tuple[int, ...]) -> BackboneParts | None:
    """Returns both parts, or none where no layer is frozen or the parts cannot be separated."""
    if not backbone.frozen_parameters:
        return None
    meta_backbone = copy_to_meta(backbone)
    try:
        graph = _Tracer(meta_backbone).trace(meta_backbone.eval())
        training_graph = _Tracer(meta_backbone).trace(meta_backbone.train())
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError, fx.proxy.TraceError):
        return None
    graphs = _split_graph(graph, backbone)
    if graphs is None or str(graph) != str(training_graph):
        return None
    frozen, learning = (_to_module(backbone, part) for part in graphs)
    if not _are_equal(backbone, frozen, learning, image_shape):
        return None
    names = {str(node.target) for part in (frozen, learning) for node in part.graph.nodes if node.op == "get_attr"}
    attributes = tuple((name, operator.attrgetter(name)(backbone)) for name in sorted(names))
    return BackboneParts(FastInference(frozen, keeps_precision=True), learning, attributes)


def _split_graph(graph: fx.Graph, backbone: "Backbone") -> tuple[fx.Graph, fx.Graph] | None:
    """Returns the graphs of both parts; none where more than one map, or an own tensor that learns, is between."""
    frozen_nodes: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "output" and frozen_nodes.issuperset(node.all_input_nodes) and _is_frozen(node, backbone):
            frozen_nodes.add(node)
    output = next(iter(graph.output_node().all_input_nodes))
    crossing = {
        source for node in graph.nodes if node not in frozen_nodes for source in node.all_input_nodes
    } & frozen_nodes
    crossing = {node for node in crossing if node.op != "get_attr"}
    if len(crossing) != 1 or any(node.op == "get_attr" for node in graph.nodes if node not in frozen_nodes):
        return None
    (boundary,) = crossing
    if boundary.op == "placeholder":
        return None
    frozen_graph, learning_graph = fx.Graph(), fx.Graph()
    values: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node in frozen_nodes:
            values[node] = frozen_graph.node_copy(node, values.__getitem__)
    frozen_graph.output((values[boundary],))
    values = {boundary: learning_graph.placeholder("maps")}
    for node in graph.nodes:
        if node.op == "get_attr" or (node not in frozen_nodes and node.op != "output"):
            values[node] = learning_graph.node_copy(node, values.__getitem__)
    learning_graph.output(values[output])
    return frozen_graph, learning_graph


def _to_module(backbone: "Backbone", graph: fx.Graph) -> fx.GraphModule:
    """Returns a module with the layers of the backbone, without what its output does not need."""
    module = fx.GraphModule(backbone, graph)
    module.graph.eliminate_dead_code()
    return fx.GraphModule(backbone, module.graph)  # without the tensors that the dead code read


def _is_frozen(node: fx.Node, backbone: "Backbone") -> bool:
    """Returns whether a node whose inputs are frozen gives always the same: no weight and no statistics of it learn."""
    if node.op == "get_attr":
        return _owner_is_frozen(backbone, str(node.target))
    if node.op != "call_module":
        return True
    module = backbone.get_submodule(str(node.target))
    states = set(_are_frozen(backbone, str(node.target)))
    return states == {True} or (not states and not any(True for _ in module.buffers()))


def _owner_is_frozen(backbone: "Backbone", name: str) -> bool:
    return name in backbone.frozen_parameters or name in dict(backbone.named_buffers())


def _are_frozen(backbone: "Backbone", module_name: str) -> Iterator[bool]:
    """Yields for each parameter of a module whether it is frozen."""
    for name, _ in backbone.get_submodule(module_name).named_parameters(prefix=module_name):
        yield name in backbone.frozen_parameters


def _are_equal(backbone: "Backbone", frozen: nn.Module, learning: nn.Module, image_shape: tuple[int, ...]) -> bool:
    """Returns whether the parts give the network's maps, image by image, and leave stored maps as they are.

    torch.fx sees neither a layer that works in place and whose output nobody reads, nor a ReLU that overwrites maps.
    """
    images = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0)).to(backbone.mean)
    with evaluation_mode(backbone), torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        expected, maps = backbone.last_level(images), torch.cat([frozen(image)[0] for image in torch.split(images, 1)])
        version = maps._version
        try:
            answers = learning(maps)
        except RuntimeError:  # the images are not along the first axis of the maps
            return False
    return answers.shape == expected.shape and almost_equal(answers, expected) and bool(maps._version == version)
