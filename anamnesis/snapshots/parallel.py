"""The same function over many batches, in order, in several processes where that pays."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Protocol, TypeVar

from anamnesis.records import AnamnesisError

A = TypeVar("A")
B = TypeVar("B")


class OrderedExecutorMap(Protocol):
    """``map`` that yields results in the order of its arguments and holds only a few of them at a time."""

    def __call__(self, function: Callable[[A], B], batches: Iterable[A]) -> Iterator[B]:
        """Yields ``function(batch)`` for every batch."""


@contextmanager
def ordered_executor_map(workers: int, use_processes: bool) -> Iterator[OrderedExecutorMap]:
    """Gives a map over processes, or a plain one where there is little to do or one worker.

    Processes are spawned, never forked: a fork of a process that runs threads can hang.
    """
    if workers < 2 or not use_processes:
        yield _serial_map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def parallel_map(function: Callable[[A], B], batches: Iterable[A]) -> Iterator[B]:
            pending_futures: deque[Future[B]] = deque()
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
                "a process that read files was killed, perhaps for memory; use fewer workers"
            ) from error


def _serial_map(function: Callable[[A], B], batches: Iterable[A]) -> Iterator[B]:
    return map(function, batches)


def batched(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Yields lists of up to ``size`` items."""
    remaining_items = iter(items)
    while batch := list(islice(remaining_items, size)):
        yield batch
