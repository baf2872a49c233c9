"""Feature maps of a network that does not learn, in less time.

Batch normalisations are folded into the convolutions in front of them, and a few images go through at a time: their
activations fit in a processor's cache. Where several processors are free, each takes such a group of images. A short
measurement decides that. It changes no bit: a group is computed alike by any worker.
"""

import copy
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from anamnesis.networks.memory_layout import to_channels_last
from anamnesis.networks.modes import evaluation_mode
from anamnesis.networks.network_digest import digest_network

IMAGES_PER_PASS = 8
LARGEST_DIFFERENCE = 1e-3
"""Between maps that were computed in two ways, as a share of the largest value; rounding is below 1e-5."""
_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d", "Conv2dSame")


class FastInference:
    """Feature maps of a network in evaluation mode, without gradients, by its current weights.

    Attributes:
        network: images [N, C, *sides] to a tuple of maps.
    """

    def __init__(
        self, network: nn.Module, *, keeps_precision: bool = False, images_per_pass: int = IMAGES_PER_PASS
    ) -> None:
        """Remembers the network.

        Args:
            network: see above.
            keeps_precision: computes in the precision around the call and of the images; else always in float32.
            images_per_pass: on a processor; with 1, the bits of an image's maps depend on no other image. Small images
                take up to twice as long then.
        """
        self.network, self._keeps_precision, self._images_per_pass = network, keeps_precision, images_per_pass
        self._folded: nn.Module = network
        self._folded_state: tuple[tuple[int, int], ...] = ()
        self._digest = ""
        self._digest_state: tuple[tuple[int, int], ...] = ()
        self._workers = 0

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps images [N, C, *sides] in [0, 1] to the maps [N, F, *cells] of the network."""
        layout, device = torch.channels_last if images.dim() == 4 else torch.channels_last_3d, images.device.type
        images = images if self._keeps_precision else images.float()
        is_half = self._keeps_precision and torch.is_autocast_enabled(device)
        half = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            folded = self._folded_network(images[:1])

        @torch.no_grad()
        def maps_of(group: Tensor) -> tuple[Tensor, ...]:
            with torch.autocast(device, half, enabled=is_half):
                return folded(group.contiguous(memory_format=layout))  # type: ignore[no-any-return]

        with evaluation_mode(folded):  # it may be the network itself, which trains
            if device != "cpu" or len(images) <= self._images_per_pass:
                return maps_of(images)
            groups = self._map(maps_of, torch.split(images, self._images_per_pass))
        return tuple(torch.cat(maps) for maps in zip(*groups, strict=True))

    def digest(self) -> str:
        """Returns the digest of the network with its current weights."""
        if (state := self._tensor_state()) != self._digest_state:
            self._digest, self._digest_state = digest_network(self.network), state
        return self._digest

    def _folded_network(self, example: Tensor) -> nn.Module:
        if (state := self._tensor_state()) != self._folded_state:
            self._folded, self._folded_state = fold_batch_norms(self.network, example), state
        return self._folded

    def _tensor_state(self) -> tuple[tuple[int, int], ...]:
        """Returns what changes with every change of a tensor."""
        tensors = itertools.chain(self.network.parameters(), self.network.buffers())
        return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)

    def _map(
        self, maps_of: Callable[[Tensor], tuple[Tensor, ...]], groups: Sequence[Tensor]
    ) -> list[tuple[Tensor, ...]]:
        """Returns the maps of each group; the first call with enough groups measures whether workers help."""
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if processors == 1 or self._workers == 1:
            return [maps_of(group) for group in groups]
        with ThreadPoolExecutor(processors) as workers:
            if self._workers or len(groups) <= processors:
                return list(workers.map(maps_of, groups))
            start = time.perf_counter()
            first_maps = [maps_of(groups[0])]
            alone = time.perf_counter() - start
            start = time.perf_counter()
            first_maps += workers.map(maps_of, groups[1 : 1 + processors])
            self._workers = processors if time.perf_counter() - start < alone * processors else 1
        return first_maps + self._map(maps_of, groups[1 + processors :])


def fold_batch_norms(network: nn.Module, example: Tensor) -> nn.Module:
    """Returns a copy in evaluation mode, with every batch normalisation folded that directly follows a convolution.

    The network itself is returned where there is none, or where a copy gives other maps than the network: a layer then
    computes something else than its name says.

    Args:
        network: it is not changed.
        example: an input [1, C, *sides]; only its shape, precision and device count.
    """
    noise = torch.rand(example.shape, generator=torch.Generator().manual_seed(0)).to(example)
    with evaluation_mode(network), torch.no_grad():
        pairs, maps = _find_pairs(network, noise)
        if not pairs:
            return network
        folded = copy.deepcopy(network).eval().requires_grad_(False)
        for convolution_name, norm_name in pairs.items():
            norm: Any = folded.get_submodule(norm_name)
            convolution: Any = folded.get_submodule(convolution_name)
            folded.set_submodule(convolution_name, fuse_conv_bn_eval(convolution, norm))
            folded.set_submodule(
                norm_name, nn.Sequential(norm.drop, norm.act) if hasattr(norm, "act") else nn.Identity()
            )
        to_channels_last(folded)
        is_equal = all(map(almost_equal, folded(noise), maps))
    return folded if is_equal else network


def almost_equal(maps: Tensor, expected: Tensor) -> bool:
    """Returns whether maps differ by rounding alone; false where they are not finite."""
    return float((maps - expected).abs().max()) <= LARGEST_DIFFERENCE * float(expected.abs().max())


def _find_pairs(network: nn.Module, images: Tensor) -> tuple[dict[str, str], tuple[Tensor, ...]]:
    """Returns the norm behind each convolution, for layers that are called once, and the output of the network."""
    outputs: list[tuple[str, Tensor]] = []
    norm_inputs: list[tuple[str, Tensor]] = []

    def record(name: str, layer: nn.Module) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(layer, _BatchNorm):
                norm_inputs.append((name, arguments[0]))
            else:
                outputs.append((name, output))

        return hook

    handles = [
        layer.register_forward_hook(record(name, layer))
        for name, layer in network.named_modules()
        if type(layer).__name__ in _CONVOLUTIONS or (isinstance(layer, _BatchNorm) and layer.running_mean is not None)
    ]
    try:
        maps = network(images)
    finally:
        for handle in handles:
            handle.remove()
    counts = Counter(name for name, _ in (*outputs, *norm_inputs))
    return {
        convolution: norm
        for convolution, output in outputs
        for norm, norm_input in norm_inputs
        if norm_input is output and counts[convolution] == counts[norm] == 1
    }, maps
