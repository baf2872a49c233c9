"""Checkpoints of the training: a kill at any moment loses at most the work since the last one."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from anamnesis.records import canonical_json, digest_bytes, digest_hex
from anamnesis.storage.store import Store

CheckpointState = Mapping[str, Tensor | object]


@dataclass(slots=True)
class Checkpoints:
    """Checkpoints of one update, below ``checkpoints/<input digest>/``.

    The tensors are stored under their own digest, and the manifest with that digest is written last. So two processes
    at the same update cannot mix their checkpoints, and an incomplete one is ignored.

    Attributes:
        store: of the registry.
        key_prefix: prefix of all keys.
        interval_seconds: seconds between two checkpoints.
        clock: monotonic seconds.
    """

    store: Store
    key_prefix: str
    interval_seconds: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _last_saved: float = field(init=False)

    def __post_init__(self) -> None:
        self._last_saved = self.clock()

    def is_due(self) -> bool:
        """Returns whether the interval is over."""
        return self.clock() - self._last_saved >= self.interval_seconds

    def save(self, position: Mapping[str, object], state: CheckpointState) -> None:
        """Writes the position of the training and the state to continue from."""
        tensors = {
            name: value.detach().cpu().contiguous() for name, value in state.items() if isinstance(value, Tensor)
        }
        plain_values = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
        blob = save(tensors)
        digest = digest_bytes(blob)
        previous = self._read_manifest()
        self.store.put(f"{self.key_prefix}/{digest_hex(digest)}.safetensors", blob)
        manifest = {"schema": 1, "tensors": digest, "position": dict(position), "plain": plain_values}
        self.store.put(f"{self.key_prefix}/manifest.json", canonical_json(manifest))
        if previous and previous["tensors"] != digest:
            self.store.delete(f"{self.key_prefix}/{digest_hex(str(previous['tensors']))}.safetensors")
        self._last_saved = self.clock()

    def load(self) -> tuple[Mapping[str, Any], dict[str, Tensor | object]] | None:
        """Returns the last complete position and state, or none."""
        manifest = self._read_manifest()
        if manifest is None:
            return None
        digest = str(manifest["tensors"])
        key = f"{self.key_prefix}/{digest_hex(digest)}.safetensors"
        if not self.store.exists(key) or digest_bytes(blob := self.store.get(key)) != digest:
            return None  # another process replaced it between the two reads; some work is only repeated
        return manifest["position"], {**load(blob), **manifest["plain"]}

    def clear(self) -> None:
        """Deletes them, when the update is recorded."""
        for info in list(self.store.list(f"{self.key_prefix}/")):
            self.store.delete(info.key)

    def _read_manifest(self) -> dict[str, Any] | None:
        key = f"{self.key_prefix}/manifest.json"
        return json.loads(self.store.get(key)) if self.store.exists(key) else None
