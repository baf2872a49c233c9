"""The digest of a network: its layers, and every tensor that its outputs depend on."""

import hashlib
import itertools

import torch
from torch import nn

from anamnesis.records.digests import DIGEST_PREFIX


def digest_network(network: nn.Module) -> str:
    """Returns the digest of the layers with their settings, as ``repr`` shows them, of parameters and of all buffers.

    Settings that ``repr`` does not show are the caller's to add.
    """
    digest = hashlib.sha256(repr(network).encode())
    for name, tensor in itertools.chain(network.named_parameters(), network.named_buffers()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return DIGEST_PREFIX + digest.hexdigest()
