"""An update as an operator has it run: every step of the pipeline, in this process or in one that dies on its way."""

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

from anamnesis import steps
from anamnesis.records import Arrival, Occasion, Outcome, digest_json, encode_object
from anamnesis.registry import read_outcome
from anamnesis.storage import open_store
from anamnesis.storage.folder import FolderStore
from anamnesis.updates import UpdateRequest


def occasion(name: str = "one", minimum: int = 0) -> Occasion:
    return Occasion(f"model-{name}", digest_json(name), Arrival("etags", 1), minimum_patients=minimum)


def carry_out(request: UpdateRequest) -> Outcome:
    """Runs the steps as the pipeline does; returns what counts."""
    assert request.occasion
    encoded = encode_object(request)
    begun = steps.begin_update(encoded, 1)
    if begun["learn"]:
        test_set = str(begun["test_set"])
        version = str(steps.train(encoded, str(begun["snapshot"]), test_set)["version"])
        steps.evaluate_forgetting(encoded, version, test_set)
        steps.evaluate_saliency(encoded, version, test_set)
        steps.promote_model(encoded, version, test_set, "tester", begun["outcome"])  # type: ignore[arg-type]
    found = read_outcome(open_store(request.registry), request.occasion.claim)
    assert found
    return found


def carry_out_and_tell(request: UpdateRequest, told: Connection) -> None:
    """Sends what counts."""
    told.send(carry_out(request))


def carry_out_until_something_is_written(request: UpdateRequest, told: Connection) -> None:
    """Is killed right after the first new object in any store; where there is none, sends what counts."""
    FolderStore.put = _deadly(FolderStore.put)  # type: ignore[method-assign]
    FolderStore.put_if_absent = _deadly(FolderStore.put_if_absent)  # type: ignore[method-assign]
    told.send(carry_out(request))


def _deadly(write: Callable[[FolderStore, str, bytes], object]) -> Callable[[FolderStore, str, bytes], object]:
    def wrapped(store: FolderStore, key: str, data: bytes) -> object:
        new = not store.exists(key) and not key.startswith("probe-")
        result = write(store, key, data)
        if new:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped
