"""A map over batches that keeps their order, in several processes or threads when there is much to do."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

from anamnesis.records import AnamnesisError
from anamnesis.records.private_output import mute_process

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


class OrderedExecutorMap(Protocol):
    """A ``map`` that yields its results in the order of its arguments and keeps only a few of them in memory."""

    def __call__(self, function: Callable[[ArgumentT], ResultT], batches: Iterable[ArgumentT]) -> Iterator[ResultT]:
        """Yields ``function(batch)`` for every batch."""


@contextmanager
def ordered_executor_map(workers: int, use_processes: bool) -> Iterator[OrderedExecutorMap]:
    """Opens a map over processes.

    The processes are spawned, because a fork of a process with threads can hang.

    Args:
        workers: number of processes; with fewer than two the map runs in this process.
        use_processes: false runs the map in this process.
    """
    if workers < 2 or not use_processes:
        yield serial_map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=mute_process) as pool:
        try:
            yield partial(_map_in_order, pool, 2 * workers)
        except BrokenProcessPool as error:
            raise AnamnesisError(
                "a worker process that reads files was killed, perhaps out of memory; "
                "use fewer workers (--workers on the command line), or give the step more memory"
            ) from error


@contextmanager
def ordered_thread_map(workers: int) -> Iterator[OrderedExecutorMap]:
    """Opens a map over threads, for work that releases the interpreter; an error ends what has not begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield partial(_map_in_order, pool, 2 * workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _map_in_order(
    pool: Executor, most_pending: int, function: Callable[[ArgumentT], ResultT], batches: Iterable[ArgumentT]
) -> Iterator[ResultT]:
    pending: deque[Future[ResultT]] = deque()
    remaining_batches = iter(batches)
    while True:
        pending.extend(pool.submit(function, batch) for batch in islice(remaining_batches, most_pending - len(pending)))
        if not pending:
            return
        yield pending.popleft().result()


def serial_map(function: Callable[[ArgumentT], ResultT], batches: Iterable[ArgumentT]) -> Iterator[ResultT]:
    """The map of this process alone."""
    return map(function, batches)


def batched(items: Iterable[ArgumentT], size: int) -> Iterator[list[ArgumentT]]:
    """Yields lists of up to ``size`` items."""
    remaining_items = iter(items)
    while batch := list(islice(remaining_items, size)):
        yield batch


def count_processors(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Returns how many processors this process may use: those of its affinity, and of its cgroup's quota.

    Args:
        cgroup: where the cgroup of this process is mounted, as in a container; both versions are read.
    """
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    quota = _read_quota(cgroup)
    return max(1, min(len(affinity), math.ceil(quota) if quota else len(affinity)))


def _read_quota(cgroup: Path) -> float | None:
    """Returns the processors of the quota, or none where there is none."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # no cgroup, or "max"
        return None
