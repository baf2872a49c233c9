"""An update as the operator runs it: all steps of the pipeline, in this process or in one that is killed."""

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

from anamnesis import steps
from anamnesis.records import SourceState, UpdateResult, UpdateTrigger, digest_json, encode_object
from anamnesis.registry import read_update_result
from anamnesis.storage import open_store
from anamnesis.storage.folder import FolderStore
from anamnesis.updates import UpdateRequest


def make_trigger(name: str = "one", minimum: int = 0) -> UpdateTrigger:
    return UpdateTrigger(f"model-{name}", digest_json(name), SourceState("etags", 1), minimum_patients=minimum)


def run_update_steps(request: UpdateRequest) -> UpdateResult:
    """Runs the steps in the order of the pipeline; returns the stored result."""
    assert request.trigger
    encoded = encode_object(request)
    ingested = steps.begin_update(encoded, 1)
    if ingested["learn"]:
        test_set = str(ingested["test_set"])
        version = str(steps.train(encoded, str(ingested["snapshot"]), test_set)["version"])
        steps.evaluate_forgetting(encoded, version, test_set)
        steps.evaluate_saliency(encoded, version, test_set)
        steps.promote_model(encoded, version, test_set, author="tester", update_result=ingested["update_result"])  # type: ignore[arg-type]
    result = read_update_result(open_store(request.registry), request.trigger.claim)
    assert result
    return result


def run_update_and_report(request: UpdateRequest, connection: Connection) -> None:
    """Runs the steps and sends the stored result."""
    connection.send(run_update_steps(request))


def run_update_until_first_write(request: UpdateRequest, connection: Connection) -> None:
    """Runs the steps until the process kills itself after its first new object; else sends the stored result."""
    FolderStore.put = _kill_after_first_write(FolderStore.put)  # type: ignore[method-assign]
    FolderStore.put_if_absent = _kill_after_first_write(FolderStore.put_if_absent)  # type: ignore[method-assign]
    connection.send(run_update_steps(request))


def _kill_after_first_write(
    write: Callable[[FolderStore, str, bytes], object],
) -> Callable[[FolderStore, str, bytes], object]:
    def wrapped(store: FolderStore, key: str, data: bytes) -> object:
        is_new = not store.exists(key) and not key.startswith("probe-")
        result = write(store, key, data)
        if is_new:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped
