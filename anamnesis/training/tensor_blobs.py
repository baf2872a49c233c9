"""Tensors in a store, each set under the digest of its bytes."""

from collections.abc import Mapping

from safetensors.torch import load, save
from torch import Tensor

from anamnesis.records import digest_bytes, digest_hex
from anamnesis.storage.store import Store


def pack_tensors(tensors: Mapping[str, Tensor]) -> tuple[str, bytes]:
    """Returns the digest and the bytes of tensors by name; equal tensors give equal bytes on every device."""
    blob = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    return digest_bytes(blob), blob


def tensors_key(key_prefix: str, digest: str) -> str:
    """Returns the key of the tensors with a digest."""
    return f"{key_prefix}/{digest_hex(digest)}.safetensors"


def read_tensors(store: Store, key_prefix: str, digest: str) -> dict[str, Tensor] | None:
    """Returns the tensors with a digest; none where they are missing or damaged."""
    key = tensors_key(key_prefix, digest)
    if not store.exists(key) or digest_bytes(blob := store.get(key)) != digest:
        return None
    return load(blob)
