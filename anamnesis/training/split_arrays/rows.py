"""Rows that are read where they are needed: a memory-mapped file with the face of a tensor."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from anamnesis.storage.scratch import EntryLease
from anamnesis.training.split_arrays.mapped_file import announce_rows

BATCH_SAMPLES = 64
"""The allocator returns larger maps to the system after each batch: page faults took most of the time."""
BATCH_BYTES = 32 * 2**20
RowIndex = Tensor | Sequence[int] | slice
"""Positions along the first axis."""


class Rows(Protocol):
    """The images or targets of N samples. A ``Tensor`` has this face too."""

    @property
    def shape(self) -> Sequence[int]:
        """[N, ...]."""

    def __len__(self) -> int:
        """Returns N."""

    def __getitem__(self, rows: RowIndex, /) -> Tensor:
        """Returns some rows, in memory."""


class MappedRows:
    """Rows of a memory-mapped file: only pages that are read are in memory, and the system may drop them.

    Attributes:
        values: [N, ...] as they are stored.
        lease: while it exists, the file is in use.
    """

    def __init__(self, values: np.ndarray, lease: EntryLease | None = None) -> None:
        self.values, self.lease = values, lease

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, ...]."""
        return self.values.shape

    def __len__(self) -> int:
        """Returns N."""
        return len(self.values)

    def read(self, rows: RowIndex) -> Tensor:
        """Returns some rows as they are stored."""
        if isinstance(rows, slice):
            announce_rows(self.values, range(*rows.indices(len(self))))
            return torch.from_numpy(np.array(self.values[rows]))
        positions = np.asarray(rows, dtype=np.int64)
        announce_rows(self.values, (positions % len(self)).tolist())
        return torch.from_numpy(self.values[positions])


class MappedImages(MappedRows):
    """Images, stored as uint8 or uint16."""

    def __getitem__(self, rows: RowIndex, /) -> Tensor:
        """Returns some images as float32 in [0, 1]."""
        return to_unit(self.read(rows))


class MappedMasks(MappedRows):
    """Masks, stored as uint8 or uint16."""

    def __getitem__(self, rows: RowIndex, /) -> Tensor:
        """Returns the classes of some masks, as int64."""
        return self.read(rows).long()


class JoinedRows:
    """The rows of several parts, one after the other."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = tuple(parts)
        self._starts = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, ...]."""
        return (len(self), *self.parts[0].shape[1:])

    def __len__(self) -> int:
        """Returns N."""
        return int(self._starts[-1])

    def __getitem__(self, rows: RowIndex, /) -> Tensor:
        """Returns some rows of any parts."""
        positions = torch.arange(len(self))[rows]
        numbers = torch.searchsorted(self._starts, positions, right=True) - 1
        result = self.parts[0][[0]].expand(len(positions), *self.shape[1:]).clone()
        for number, part in enumerate(self.parts):
            is_part = numbers == number
            result[is_part] = part[positions[is_part] - self._starts[number]].to(result.dtype)
        return result


class SelectedRows:
    """Some rows, in an order of their own."""

    def __init__(self, rows: Rows, selection: Sequence[int]) -> None:
        self.rows, self.selection = rows, torch.tensor(selection, dtype=torch.long)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, ...]."""
        return (len(self), *self.rows.shape[1:])

    def __len__(self) -> int:
        """Returns N."""
        return len(self.selection)

    def __getitem__(self, rows: RowIndex, /) -> Tensor:
        """Returns some of the selected rows."""
        return self.rows[self.selection[rows]]


def join_rows(first: Rows, second: Rows) -> Rows:
    """Returns the rows of both; tensors are joined in memory."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat((first, second))
    return JoinedRows((first, second))


def predicted_at_once(*inputs: Rows) -> int:
    """Returns how many samples are predicted at once: ``BATCH_SAMPLES``, or as many as ``BATCH_BYTES`` hold; 1 or more.

    The bytes are those of all inputs of a sample as float32.
    """
    sample_bytes = sum(4 * math.prod(rows.shape[1:]) for rows in inputs)
    return max(1, min(BATCH_SAMPLES, BATCH_BYTES // max(sample_bytes, 1)))


def batches_of(rows: Rows, size: int) -> Iterator[Tensor]:
    """Yields all rows in order, ``size`` at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def read_stored(images: Rows, rows: RowIndex) -> Tensor:
    """Returns some images as they are stored: a quarter or half of the bytes of float32, for the way to a GPU."""
    return images.read(rows) if isinstance(images, MappedImages) else images[rows]


def to_unit(stored: Tensor) -> Tensor:
    """Maps stored images to float32 in [0, 1]; the greatest integer is 1, floats are in [0, 1] already."""
    numbers = stored.to(torch.float32)
    return numbers if stored.is_floating_point() else numbers.div_(torch.iinfo(stored.dtype).max)
