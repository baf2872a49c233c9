"""Opens the arrays of a split, and prepares them where the scratch folder has them not yet."""

import os
import shutil
from collections.abc import Mapping, Sequence

import numpy as np

from anamnesis.methods.base import MASK
from anamnesis.records import Progress, ignore_progress
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.snapshots.withdrawals import read_withdrawn_data
from anamnesis.storage.scratch import EntryLease, EntryName, Scratch
from anamnesis.training.data import TensorSplit, check_samples, row_targets
from anamnesis.training.split_arrays.layout import ArrayLayout, SplitFormat, image_layouts, mask_layout
from anamnesis.training.split_arrays.mapped_file import map_file
from anamnesis.training.split_arrays.rows import MappedImages, MappedMasks, Rows
from anamnesis.training.split_arrays.stored_features import FeatureFolder
from anamnesis.training.split_arrays.writing import write_arrays


def open_split_arrays(
    samples: OpenedSamples,
    split_format: SplitFormat,
    scratch: Scratch | None = None,
    progress: Progress = ignore_progress,
) -> TensorSplit:
    """Returns a split as memory-mapped arrays, from the scratch folder or, where it has them not, from the images.

    Args:
        samples: of one split; each has a target.
        split_format: what is read of them.
        scratch: the folder; none takes that of the environment.
        progress: receives the number of prepared images.

    Raises:
        InputError: no samples, samples without a class or a modality, numbers that are not finite, or the scratch
            folder is not usable.
        IntegrityError: stored bytes were changed.
    """
    check_samples(samples.records, split_format.task)
    layouts, mask = image_layouts(split_format, samples.records), mask_layout(split_format, samples.records)
    targets: dict[str, Rows] = {**row_targets(samples.records, split_format.task, split_format.labels)}
    scratch = scratch or Scratch.of_environment(os.environ)
    # After a withdrawal, all arrays that were made before are removed.
    name = EntryName(samples.store.url, read_withdrawn_data(samples.store).digest, split_format.digest_of(samples))
    all_layouts = (*layouts.values(), *([mask] if mask else []))
    while (opened := _map_entry(scratch.open_entry(name), all_layouts)) is None:
        with scratch.write_entry(name, {layout.file: layout.bytes for layout in all_layouts}) as folder:
            write_arrays(samples, split_format, folder, layouts=layouts, mask=mask, progress=progress)
    lease, arrays = opened
    images = {modality: MappedImages(arrays[layout.file], lease) for modality, layout in layouts.items()}
    if mask:
        targets[MASK] = MappedMasks(arrays[mask.file], lease)
    feature_folder = FeatureFolder(scratch, name.owner, name.generation, lease.folder)
    return TensorSplit(images, targets, tuple(record.id for record in samples.records), feature_folder)


def _map_entry(
    lease: EntryLease | None, layouts: Sequence[ArrayLayout]
) -> tuple[EntryLease, Mapping[str, np.ndarray]] | None:
    """Returns the arrays of an entry by file; none where it does not exist.

    Somebody may remove files at any time, for example a job that tidies caches: the rest of such an entry is removed.
    """
    if lease is None:
        return None
    try:
        arrays = {layout.file: map_file(lease.folder / layout.file, layout.dtype, layout.shape) for layout in layouts}
    except FileNotFoundError:
        shutil.rmtree(lease.folder, ignore_errors=True)
        return None
    return lease, arrays
