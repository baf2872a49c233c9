"""Checkpoints of the training: a kill at any moment loses at most the work since the last one."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from anamnesis.records import RefusedError, canonical_json
from anamnesis.storage.store import Store
from anamnesis.training.tensor_blobs import pack_tensors, read_tensors, tensors_key

CheckpointState = Mapping[str, Tensor | object]
_SCHEMA = 2


@dataclass(frozen=True, slots=True)
class CheckpointPace:
    """How often work is saved.

    Attributes:
        seconds: the least work between two checkpoints.
        cost_factor: and the least, in durations of the last checkpoint: at 20 they take at most 5 % of the time.
    """

    seconds: float = 20.0
    cost_factor: float = 20.0


DEFAULT_PACE = CheckpointPace()


@dataclass(slots=True)
class Checkpoints:
    """Checkpoints of one update, below ``checkpoints/<input digest>/``.

    Each part of the state is stored under its own digest, and the manifest with the digests is written last. So two
    processes at the same update cannot mix their checkpoints, an incomplete one is ignored, and a part that did not
    change since the last one, such as a frozen backbone, is not written again.

    Attributes:
        store: of the registry.
        key_prefix: prefix of all keys.
        pace: how often.
        clock: monotonic seconds.
    """

    store: Store
    key_prefix: str
    pace: CheckpointPace = DEFAULT_PACE
    clock: Callable[[], float] = time.monotonic
    _last_saved: float = field(init=False)
    _last_duration: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._last_saved = self.clock()

    def is_due(self) -> bool:
        """Returns whether there is enough work since the last checkpoint."""
        return self.is_worth_saving(self.clock() - self._last_saved)

    def is_worth_saving(self, seconds: float) -> bool:
        """Returns whether ``seconds`` of work are worth the time that a checkpoint takes."""
        return seconds >= max(self.pace.seconds, self.pace.cost_factor * self._last_duration)

    def save(self, position: Mapping[str, object], state: CheckpointState, frozen: Collection[str] = ()) -> None:
        """Writes the position of the training and the state to continue from.

        Args:
            position: JSON values.
            state: ``group/part/name`` -> tensor or JSON value; a blob for each part.
            frozen: names of tensors that training does not change; they are parts of their own.
        """
        started = self.clock()
        previous = self._read_manifest()
        previous_digests = set(previous["parts"]) if previous else set()
        digests = [self._save_part(tensors, previous_digests) for tensors in _split_parts(state, frozen)]
        plain_values = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
        manifest = {"schema": _SCHEMA, "parts": digests, "position": dict(position), "plain": plain_values}
        self.store.put(f"{self.key_prefix}/manifest.json", canonical_json(manifest))
        for digest in previous_digests.difference(digests):
            self._delete(tensors_key(self.key_prefix, digest))
        self._last_saved = self.clock()
        self._last_duration = self._last_saved - started

    def _save_part(self, tensors: Mapping[str, Tensor], stored_digests: Collection[str]) -> str:
        digest, blob = pack_tensors(tensors)
        if digest not in stored_digests:
            self.store.put(tensors_key(self.key_prefix, digest), blob)
        return digest

    def load(self) -> tuple[Mapping[str, Any], dict[str, Tensor | object]] | None:
        """Returns the last complete position and state, or none."""
        manifest = self._read_manifest()
        if manifest is None:
            return None
        state: dict[str, Tensor | object] = dict(manifest["plain"])
        for digest in manifest["parts"]:
            tensors = read_tensors(self.store, self.key_prefix, digest)
            if tensors is None:
                return None  # another process replaced it between the two reads; some work is only repeated
            state |= tensors
        return manifest["position"], state

    def clear(self) -> None:
        """Deletes them, when the update is recorded."""
        for info in list(self.store.list(f"{self.key_prefix}/")):
            self._delete(info.key)

    def _delete(self, key: str) -> None:
        """Deletes an object; one that the store's policy keeps does no harm, and ``registry prune`` names it."""
        with suppress(RefusedError):
            self.store.delete(key)

    def _read_manifest(self) -> dict[str, Any] | None:
        """Returns the manifest; none where there is none, or where another release wrote it."""
        key = f"{self.key_prefix}/manifest.json"
        manifest = json.loads(self.store.get(key)) if self.store.exists(key) else {}
        return manifest if manifest.get("schema") == _SCHEMA else None


def _split_parts(state: CheckpointState, frozen: Collection[str]) -> list[dict[str, Tensor]]:
    """Returns the tensors of the state by part, with the frozen ones apart."""
    parts: dict[tuple[str, bool], dict[str, Tensor]] = defaultdict(dict)
    for name, value in state.items():
        if isinstance(value, Tensor):
            parts["/".join(name.split("/")[:2]), name in frozen][name] = value
    return list(parts.values())
