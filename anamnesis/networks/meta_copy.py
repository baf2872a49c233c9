"""Copies of networks without numbers."""

import copy
from typing import TypeVar

from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def copy_to_meta(network: Network) -> Network:
    """Returns a copy on PyTorch's device ``meta``: its tensors have shapes alone, and take neither memory nor time."""
    tensors: dict[int, Tensor] = {id(buffer): buffer.to("meta") for buffer in network.buffers()}
    tensors |= {id(parameter): nn.Parameter(parameter.detach().to("meta")) for parameter in network.parameters()}
    return copy.deepcopy(network, tensors)
