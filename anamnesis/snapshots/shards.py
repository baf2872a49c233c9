"""Shards of pixels: ``shards/<sha256>.safetensors``, with one tensor for each image under its content digest.

The index ``shards/<sha256>.json`` lists the images of a shard and is written after it. The distribution over shards is
part of no digest. A stored image is never written again.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from anamnesis.imaging.pixels import Pixels
from anamnesis.records import IntegrityError, canonical_json, digest_bytes, digest_hex
from anamnesis.sources import local_folder
from anamnesis.storage.store import Store

SHARD_BYTES = 64 << 20


def content_digest(pixels: Pixels) -> str:
    """Returns the digest of dtype, shape and little-endian bytes in C order."""
    header = canonical_json({"dtype": pixels.dtype.name, "shape": list(pixels.shape)})
    hasher = hashlib.sha256(header + b"\n")
    little_endian = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    hasher.update(little_endian.reshape(-1).view(np.uint8).data)
    return f"sha256:{hasher.hexdigest()}"


def locate_contents(store: Store) -> dict[str, str]:
    """Returns the key of the shard that holds each content digest.

    Raises:
        IntegrityError: an index is unreadable.
    """
    shard_keys: dict[str, str] = {}
    for info in store.list("shards/"):
        if info.key.endswith(".json"):
            shard_keys |= dict.fromkeys(_read_index(store, info.key), info.key.removesuffix(".json") + ".safetensors")
    return shard_keys


def _read_index(store: Store, key: str) -> list[str]:
    try:
        return [f"sha256:{name}" for name in json.loads(store.get(key))["contents"]]
    except (ValueError, LookupError, TypeError) as error:
        raise IntegrityError(
            f"{store.url}/{key}: the object is not an index of a shard; delete the object and ingest the site again"
        ) from error


class ShardWriter:
    """Collects images and writes them in shards of about ``maximum_bytes``."""

    def __init__(self, store: Store, maximum_bytes: int = SHARD_BYTES) -> None:
        self.store = store
        self.maximum_bytes = maximum_bytes
        self.written_count = 0
        self._stored_contents = set(locate_contents(store))
        self._pending_images: dict[str, Pixels] = {}
        self._pending_bytes = 0

    def add(self, content: str, pixels: Pixels) -> None:
        """Adds an image, unless the store has it."""
        if content in self._stored_contents:
            return
        self._stored_contents.add(content)
        self._pending_images[digest_hex(content)] = pixels
        self._pending_bytes += pixels.nbytes
        self.written_count += 1
        if self._pending_bytes >= self.maximum_bytes:
            self.flush()

    def flush(self) -> None:
        """Writes the collected images: the shard, then its index."""
        if not self._pending_images:
            return
        data = save(self._pending_images)
        key = f"shards/{digest_hex(digest_bytes(data))}"
        self.store.put_if_absent(f"{key}.safetensors", data)
        self.store.put_if_absent(f"{key}.json", canonical_json({"schema": 1, "contents": sorted(self._pending_images)}))
        self._pending_images, self._pending_bytes = {}, 0


class ShardReader:
    """Reads images by content digest; a context manager.

    Shards in a folder are mapped into memory, shards in a bucket are downloaded once. Every image is compared with its
    digest.

    Args:
        store: the site's own store.
        shard_keys: key of the shard of each image; none takes that of ``locate_contents``.
    """

    def __init__(self, store: Store, shard_keys: Mapping[str, str] | None = None) -> None:
        self.store = store
        self._shard_keys = locate_contents(store) if shard_keys is None else shard_keys
        self._open_shards: dict[str, Any] = {}
        self._exit_stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open_shards = {}
        self._exit_stack.close()

    def read(self, content: str) -> Pixels:
        """Returns one image's pixels.

        Raises:
            IntegrityError: no shard has the image, or the image does not match its digest.
        """
        key = self._shard_keys.get(content)
        if key is None:
            raise IntegrityError(f"{self.store.url}: no shard has the image {content}; ingest the site again")
        try:
            pixels: Pixels = self._open_shard(key).get_tensor(digest_hex(content))
        except (SafetensorError, OSError) as error:
            raise IntegrityError(
                f"{self.store.url}/{key}: the shard is unreadable ({error}); restore it from a backup"
            ) from error
        if content_digest(pixels) != content:
            raise IntegrityError(
                f"{self.store.url}/{key}: the image {content} was changed; restore the shard from a backup"
            )
        return pixels

    def _open_shard(self, key: str) -> Any:
        if key not in self._open_shards:
            self._open_shards[key] = self._exit_stack.enter_context(safe_open(self._local_path(key), framework="numpy"))
        return self._open_shards[key]

    def _local_path(self, key: str) -> Path:
        folder = local_folder(self.store.url)
        if folder:
            return folder / key
        temporary = Path(self._exit_stack.enter_context(tempfile.TemporaryDirectory()), "shard")
        temporary.write_bytes(self.store.get(key))
        return temporary
