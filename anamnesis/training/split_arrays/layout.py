"""What the arrays of a split contain, and the digest that names them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from anamnesis.records import NetworkSettings, Task, TaskType, digest_json
from anamnesis.snapshots.guard import OpenedSamples
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.training.input_checks import check_images

SCHEMA = 1
"""A new number for every change of how images become numbers: arrays of an earlier one are then not used."""
MASK_FILE = "mask.array"


@dataclass(frozen=True, slots=True)
class SplitFormat:
    """What a network and a task need of a sample.

    Attributes:
        task: the targets are indices of its classes.
        modalities: the images of each sample to read.
        labels: the model's label space.
        spec: channels and size of the network's input.
    """

    task: Task
    modalities: tuple[str, ...]
    labels: tuple[str, ...]
    spec: NetworkSettings

    @property
    def has_masks(self) -> bool:
        """Whether a target is a mask, and so an array too."""
        return self.task.type is TaskType.SEGMENTATION

    def digest_of(self, samples: OpenedSamples) -> str:
        """Returns the digest of everything that determines the arrays; classes are not in them."""
        return digest_json(
            {
                "schema": SCHEMA,
                "set": samples.digest,
                "samples": [record.id for record in samples.records],
                "modalities": list(self.modalities),
                "input": [self.spec.channels, *self.spec.image_size],
                "masks": self.has_masks,
            }
        )


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """One array of a split.

    Attributes:
        file: name of its file.
        shape: [N, ...].
        dtype: uint8 or uint16.
    """

    file: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        """Size of a sample in it."""
        return self.bytes // self.shape[0]


def image_layouts(split_format: SplitFormat, records: Sequence[SampleRecord]) -> Mapping[str, ArrayLayout]:
    """Returns the array of each modality: eight bits where all of its images have eight, else sixteen.

    Raises:
        InputError: a sample has no image of a modality, or the network cannot read it.
    """
    shape = (len(records), split_format.spec.channels, *split_format.spec.image_size)
    layouts = {}
    for number, modality in enumerate(split_format.modalities):
        check_images(records, modality, split_format.spec)
        dtypes = {record.images[modality].dtype for record in records}
        layouts[modality] = ArrayLayout(f"{number}.array", shape, "uint8" if dtypes == {"uint8"} else "uint16")
    return layouts


def mask_layout(split_format: SplitFormat, records: Sequence[SampleRecord]) -> ArrayLayout | None:
    """Returns the array of the masks; none for a task without masks."""
    if not split_format.has_masks:
        return None
    return ArrayLayout(
        MASK_FILE,
        (len(records), *split_format.spec.image_size),
        "uint8" if len(split_format.labels) < 255 else "uint16",
    )


def needed_images(record: SampleRecord, split_format: SplitFormat) -> SampleRecord:
    """Returns the record with the images alone that the arrays are made from."""
    mask = record.target.mask if record.target and split_format.has_masks else None
    names = {*split_format.modalities, mask}
    return replace(record, images={name: image for name, image in record.images.items() if name in names})


def native_bytes(record: SampleRecord) -> int:
    """Returns the size of the images of a sample in its store."""
    return sum(math.prod(image.shape) * np.dtype(image.dtype).itemsize for image in record.images.values())
