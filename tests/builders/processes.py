"""Real processes for tests that kill them. They start fast, because they are forks of a process with torch loaded."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from anamnesis.updates import UpdateRequest

PRELOAD = ["anamnesis.updates.update", "torch._dynamo"]


def train_and_report(request: UpdateRequest, snapshot: str, connection: Connection) -> None:
    """Trains one update with a checkpoint after every step; sends the number of each step, then the version."""
    from anamnesis.training import CheckpointPace
    from anamnesis.updates.update import run_update

    def report_step(completed: int, total: int, unit: str) -> None:
        connection.send(completed)

    connection.send(run_update(request, snapshot, report_step, checkpoint_pace=CheckpointPace(0, 0)).record.version)


def start_process(target: Callable[..., None], *arguments: object) -> tuple[ForkServerProcess, Connection]:
    """Starts ``target(*arguments, sender)`` in a new process; returns the process and the receiving end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*arguments, sender), daemon=True)
    process.start()
    sender.close()
    return process, receiver
