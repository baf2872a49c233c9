"""Where training stood, written so that a kill at any moment loses at most the work since the last one."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from anamnesis.records import canonical_json, digest_bytes, hex_of
from anamnesis.storage.store import Store

State = Mapping[str, Tensor | object]


@dataclass(slots=True)
class Checkpoints:
    """Checkpoints of one update, below ``checkpoints/<input digest>/``.

    The tensors lie under their own digest, and the manifest that points to them is written last. Two processes at
    the same update cannot mix theirs up, and a torn one reads as none.

    Attributes:
        store: the registry's.
        folder: key prefix.
        every: seconds between two checkpoints.
        clock: monotonic seconds.
    """

    store: Store
    folder: str
    every: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def due(self) -> bool:
        """Tells whether it is time for the next one."""
        return self.clock() - self._last >= self.every

    def save(self, position: Mapping[str, object], state: State) -> None:
        """Writes where the training is and everything it needs to go on."""
        tensors = {
            name: value.detach().cpu().contiguous() for name, value in state.items() if isinstance(value, Tensor)
        }
        plain = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
        blob = save(tensors)
        digest = digest_bytes(blob)
        previous = self._manifest()
        self.store.put(f"{self.folder}/{hex_of(digest)}.safetensors", blob)
        body = {"schema": 1, "tensors": digest, "position": dict(position), "plain": plain}
        self.store.put(f"{self.folder}/manifest.json", canonical_json(body))
        if previous and previous["tensors"] != digest:
            self.store.delete(f"{self.folder}/{hex_of(str(previous['tensors']))}.safetensors")
        self._last = self.clock()

    def load(self) -> tuple[Mapping[str, Any], dict[str, Tensor | object]] | None:
        """Returns the last position and state, or none where there is none that is whole."""
        manifest = self._manifest()
        if manifest is None:
            return None
        digest = str(manifest["tensors"])
        key = f"{self.folder}/{hex_of(digest)}.safetensors"
        if not self.store.exists(key) or digest_bytes(blob := self.store.get(key)) != digest:
            return None  # another process moved on between the two reads; its work is only repeated
        return manifest["position"], {**load(blob), **manifest["plain"]}

    def clear(self) -> None:
        """Deletes them: the update is finished and recorded."""
        for info in list(self.store.list(f"{self.folder}/")):
            self.store.delete(info.key)

    def _manifest(self) -> dict[str, Any] | None:
        key = f"{self.folder}/manifest.json"
        return json.loads(self.store.get(key)) if self.store.exists(key) else None
