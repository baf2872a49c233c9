"""Writes the arrays of a split, a few samples at a time: memory does not depend on the number or size of images."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from anamnesis.records import Progress
from anamnesis.snapshots.guard import OpenedSamples, load_samples
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.snapshots.parallel import count_processors, ordered_thread_map
from anamnesis.snapshots.shards import locate_contents
from anamnesis.storage.store import Store
from anamnesis.training.data import samples_to_tensors
from anamnesis.training.split_arrays.layout import ArrayLayout, SplitFormat, native_bytes, needed_images

BATCH_BYTES = 4 << 20
"""Native images that are in memory at a time, in each thread."""
WORKING_BYTES, COPIES = 512 << 20, 8
"""Of memory for all threads, and bytes of it for each byte of the largest sample: numbers of an image are float32."""
MAXIMUM_THREADS = 8


@dataclass(frozen=True, slots=True)
class _SampleWriter:
    """Writes samples to their rows.

    Attributes:
        store: the site's own store.
        shard_keys: key of the shard of each image.
        records: [N] of the samples.
        split_format: what is read of them.
        files: each array with the descriptor of its file, by modality.
        mask: the array of the masks with its descriptor, if any.
    """

    store: Store
    shard_keys: Mapping[str, str]
    records: Sequence[SampleRecord]
    split_format: SplitFormat
    files: Mapping[str, tuple[ArrayLayout, int]]
    mask: tuple[ArrayLayout, int] | None

    def write(self, rows: Sequence[int]) -> int:
        """Writes the samples of some rows, and returns their number."""
        records = [self.records[row] for row in rows]
        samples = load_samples(self.store, records, self.shard_keys)
        for start, end in _batches(records):
            split = samples_to_tensors(
                islice(samples, end - start),
                self.split_format.task,
                modalities=self.split_format.modalities,
                labels=self.split_format.labels,
                spec=self.split_format.spec,
            )
            for modality, (layout, file) in self.files.items():
                _write_rows(file, layout, rows[start:end], quantise(split.inputs[modality][:], layout.dtype))
            if self.mask:
                layout, file = self.mask
                _write_rows(file, layout, rows[start:end], split.masks[:].numpy().astype(layout.dtype))
        return len(rows)


def write_arrays(
    samples: OpenedSamples,
    split_format: SplitFormat,
    folder: Path,
    layouts: Mapping[str, ArrayLayout],
    mask: ArrayLayout | None,
    progress: Progress,
) -> None:
    """Fills the files of the arrays, in threads; equal bits for any number of them.

    Threads, not processes: reading, hashing and resizing release the interpreter, and a process that has imported torch
    takes 280 MiB before its first image.

    Args:
        samples: of one split.
        split_format: what is read of them.
        folder: of the arrays; their files exist and have their sizes.
        layouts: modality -> array.
        mask: the array of the masks, if any.
        progress: receives the number of samples.

    Raises:
        InputError: an image has numbers that are not finite.
        IntegrityError: stored bytes were changed.
    """
    records = [needed_images(record, split_format) for record in samples.records]
    shard_keys = locate_contents(samples.store)
    with ExitStack() as stack:

        def open_file(layout: ArrayLayout) -> tuple[ArrayLayout, int]:
            file = os.open(folder / layout.file, os.O_WRONLY)
            stack.callback(os.close, file)
            return layout, file

        writer = _SampleWriter(
            samples.store,
            shard_keys,
            records,
            split_format,
            files={modality: open_file(layout) for modality, layout in layouts.items()},
            mask=open_file(mask) if mask else None,
        )
        parallel_map = stack.enter_context(ordered_thread_map(_choose_threads(records)))
        written = 0
        for count in parallel_map(writer.write, _rows_by_shard(records, shard_keys)):
            written += count
            progress(written, len(records), "images prepared")


def _rows_by_shard(records: Sequence[SampleRecord], shard_keys: Mapping[str, str]) -> Iterable[list[int]]:
    """Returns the rows of the samples whose images are in the same shards: a bucket's shard is downloaded once."""
    rows_by_shard: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, record in enumerate(records):
        contents = (image.content for image in record.images.values())
        rows_by_shard[tuple(sorted({shard_keys.get(content, "") for content in contents}))].append(row)
    return rows_by_shard.values()


def _choose_threads(records: Sequence[SampleRecord]) -> int:
    fitting = WORKING_BYTES // (COPIES * max(map(native_bytes, records)))
    return max(1, min(count_processors(), MAXIMUM_THREADS, fitting))


def _batches(records: Sequence[SampleRecord]) -> Iterator[tuple[int, int]]:
    """Yields ranges of samples of up to ``BATCH_BYTES`` together, or of one larger sample."""
    start, size = 0, 0
    for position, record in enumerate(records):
        size += native_bytes(record)
        if position > start and size > BATCH_BYTES:
            yield start, position
            start, size = position, native_bytes(record)
    yield start, len(records)


def quantise(images: Tensor, dtype: str) -> np.ndarray:
    """Maps images in [0, 1] to integers: 1 is the greatest; ``rows.to_unit`` is the way back."""
    greatest = np.iinfo(dtype).max
    return images.float().mul(greatest).round_().clamp_(0, greatest).numpy().astype(dtype)


def _write_rows(file: int, layout: ArrayLayout, rows: Sequence[int], values: np.ndarray) -> None:
    for row, value in zip(rows, values, strict=True):
        os.pwrite(file, value.tobytes(), row * layout.row_bytes)
