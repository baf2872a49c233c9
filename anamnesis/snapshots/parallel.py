"""A map over batches that keeps their order, in several processes when there is much to do."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Protocol, TypeVar

from anamnesis.records import AnamnesisError

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
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def parallel_map(function: Callable[[ArgumentT], ResultT], batches: Iterable[ArgumentT]) -> Iterator[ResultT]:
            pending_futures: deque[Future[ResultT]] = deque()
            remaining_batches = iter(batches)
            while True:
                pending_futures.extend(
                    pool.submit(function, batch)
                    for batch in islice(remaining_batches, 2 * workers - len(pending_futures))
                )
                if not pending_futures:
                    return
                yield pending_futures.popleft().result()

        try:
            yield parallel_map
        except BrokenProcessPool as error:
            raise AnamnesisError(
                "a worker process that reads files was killed, perhaps out of memory; "
                "use fewer workers (--workers on the command line), or give the step more memory"
            ) from error


def serial_map(function: Callable[[ArgumentT], ResultT], batches: Iterable[ArgumentT]) -> Iterator[ResultT]:
    """The map of this process alone."""
    return map(function, batches)


def batched(items: Iterable[ArgumentT], size: int) -> Iterator[list[ArgumentT]]:
    """Yields lists of up to ``size`` items."""
    remaining_items = iter(items)
    while batch := list(islice(remaining_items, size)):
        yield batch
