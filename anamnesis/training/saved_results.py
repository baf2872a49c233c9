"""Results of long work at the beginning and the end of a task, saved so that a killed update does not repeat it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from anamnesis.records import canonical_json, digest_hex, digest_json
from anamnesis.training.checkpoints import Checkpoints
from anamnesis.training.tensor_blobs import pack_tensors, read_tensors, tensors_key


@dataclass(frozen=True, slots=True)
class SavedResults:
    """The ``TaskContext.checkpointed`` of an update with checkpoints.

    A result is one of exactly the weights that the network has: it is found by its name and their digest. It is written
    only where its work took as long as ``CheckpointPace`` says, so that short work costs nothing.

    Attributes:
        checkpoints: of the update; the results are stored below them and deleted with them.
        network: whose weights the results belong to; computing a result does not change them.
    """

    checkpoints: Checkpoints
    network: nn.Module

    def __call__(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Returns what ``compute`` returns, or what an earlier attempt saved, on the network's device."""
        saved_result = self._read(name)
        if saved_result is not None:
            device = next(self.network.parameters()).device
            return {key: value.to(device) for key, value in saved_result.items()}
        started = self.checkpoints.clock()
        result = dict(compute())
        if self.checkpoints.is_worth_saving(self.checkpoints.clock() - started):
            self._write(name, result)
        return result

    @property
    def _key_prefix(self) -> str:
        return f"{self.checkpoints.key_prefix}/results"

    def _result_key(self, name: str) -> str:
        weights_digest, _ = pack_tensors(self.network.state_dict())
        return f"{self._key_prefix}/{digest_hex(digest_json({'name': name, 'weights': weights_digest}))}.json"

    def _read(self, name: str) -> dict[str, Tensor] | None:
        store = self.checkpoints.store
        if not any(True for _ in store.list(f"{self._key_prefix}/")):
            return None  # the usual case: no digest of the weights is computed
        key = self._result_key(name)
        return (
            read_tensors(store, self._key_prefix, json.loads(store.get(key))["tensors"]) if store.exists(key) else None
        )

    def _write(self, name: str, result: Mapping[str, Tensor]) -> None:
        store = self.checkpoints.store
        digest, blob = pack_tensors(result)
        store.put(tensors_key(self._key_prefix, digest), blob)
        store.put(self._result_key(name), canonical_json({"schema": 1, "tensors": digest}))
