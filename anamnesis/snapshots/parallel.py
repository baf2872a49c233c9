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


class InOrder(Protocol):
    """``map`` that yields results in the order of its arguments and holds only a few of them at a time."""

    def __call__(self, function: Callable[[A], B], batches: Iterable[A]) -> Iterator[B]:
        """Yields ``function(batch)`` for every batch."""


@contextmanager
def in_order(workers: int, worthwhile: bool) -> Iterator[InOrder]:
    """Gives a map over processes, or a plain one where there is little to do or one worker.

    Processes are spawned, never forked: a fork of a process that runs threads can hang.
    """
    if workers < 2 or not worthwhile:
        yield _plain
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def spread(function: Callable[[A], B], batches: Iterable[A]) -> Iterator[B]:
            waiting: deque[Future[B]] = deque()
            left = iter(batches)
            while True:
                waiting.extend(pool.submit(function, batch) for batch in islice(left, 2 * workers - len(waiting)))
                if not waiting:
                    return
                yield waiting.popleft().result()

        try:
            yield spread
        except BrokenProcessPool as error:
            raise AnamnesisError(
                "a process that read files was killed, perhaps for memory; use fewer workers"
            ) from error


def _plain(function: Callable[[A], B], batches: Iterable[A]) -> Iterator[B]:
    return map(function, batches)


def batched(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Yields lists of up to ``size`` items."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
