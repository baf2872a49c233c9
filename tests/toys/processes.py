"""Real processes that are cheap to start: forks of one that has loaded torch, and can be killed at any moment."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from anamnesis.updates import UpdateRequest

PRELOAD = ["anamnesis.updates.update", "torch._dynamo"]


def train_and_tell(request: UpdateRequest, snapshot: str, told: Connection) -> None:
    """Trains one update with a checkpoint after every step; sends each step's number and, last, the version."""
    from anamnesis.updates.update import update

    def tell(done: int, total: int, what: str) -> None:
        told.send(done)

    told.send(update(request, snapshot, tell, checkpoint_every=0.0).record.version)


def start(target: Callable[..., None], *arguments: object) -> tuple[ForkServerProcess, Connection]:
    """Starts ``target(*arguments, told)`` in a process of its own; returns it and the end that is told."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    hears, tells = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*arguments, tells), daemon=True)
    process.start()
    tells.close()
    return process, hears
