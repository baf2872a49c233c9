"""A mapped file whose rows are read in random order: the system reads the rows that come, and no others."""

import os
from collections.abc import Iterable
from mmap import MADV_RANDOM, MADV_WILLNEED, PAGESIZE, mmap

import numpy as np

_PIECE = 32 * PAGESIZE
"""Bytes of one announcement: the system ignores what exceeds the largest request of its disk."""


def map_file(path: str | os.PathLike[str], dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a file as an array [N, ...]; nothing around a row is read with it.

    By default, Linux reads up to ``read_ahead_kb`` of the disk around each row: 128 KiB, or megabytes. Of rows of 4 KiB
    in random order that is dropped unused.
    """
    values = np.memmap(path, dtype=dtype, mode="r", shape=shape)
    file_map = _map_of(values)
    assert file_map
    file_map.madvise(MADV_RANDOM)
    return values


def announce_rows(values: np.ndarray, rows: Iterable[int]) -> None:
    """Makes the system read some rows of a mapped file from the disk, all at the same time, and does not wait.

    Args:
        values: [N, ...]; nothing happens where it is not from ``map_file``.
        rows: positions from 0 to N - 1.
    """
    file_map = _map_of(values)
    if not file_map:
        return
    row_bytes = values.nbytes // len(values)
    for row in rows:
        end = (row + 1) * row_bytes
        for start in range(row * row_bytes // PAGESIZE * PAGESIZE, end, _PIECE):
            file_map.madvise(MADV_WILLNEED, start, min(_PIECE, end - start))


def _map_of(values: np.ndarray) -> mmap | None:
    base: object = values.base
    return base if isinstance(base, mmap) else None
