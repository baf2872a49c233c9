"""Reads items in a thread, while the items before them are used."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 2


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yields the items in their order; up to ``DEPTH`` of them are read ahead. An error comes at its place."""
    remaining, end = iter(items), object()
    pending: deque[Future[Item | object]] = deque()
    executor = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")  # one thread: the order stays
    try:
        pending.extend(executor.submit(next, remaining, end) for _ in range(DEPTH))
        while (item := pending.popleft().result()) is not end:
            pending.append(executor.submit(next, remaining, end))
            yield item  # type: ignore[misc]  # it is not the end
    finally:
        executor.shutdown(cancel_futures=True)
