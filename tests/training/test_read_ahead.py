"""Items that a thread reads ahead: the order, errors, and an early end."""

import threading
from collections.abc import Iterator

import pytest

from anamnesis.training.read_ahead import DEPTH, read_ahead


def test_the_items_come_in_their_order_from_another_thread() -> None:
    threads = set()

    def numbers() -> Iterator[int]:
        for number in range(20):
            threads.add(threading.current_thread())
            yield number

    assert list(read_ahead(numbers())) == list(range(20))
    assert threading.current_thread() not in threads
    assert len(threads) == 1


def test_an_error_comes_after_the_items_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise OSError("damaged")

    items = read_ahead(numbers())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="damaged"):
        next(items)


def test_a_reader_that_stops_leaves_no_thread_and_reads_little() -> None:
    read = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            read.append(number)
            yield number

    items = read_ahead(numbers())
    assert next(items) == 0
    items.close()
    assert len(read) <= DEPTH + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
