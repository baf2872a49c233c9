"""A split of a snapshot as tensors in memory, and the deterministic batches that methods see of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from anamnesis.methods.base import Batch
from anamnesis.records import InputError, NetworkSpec, Sample, Split, Task, TaskType, TrainingSettings, columns_of
from anamnesis.training.augmentation import Augmentation
from anamnesis.training.intensity import resize, to_channels, to_planes, to_unit
from anamnesis.training.precision import Numerics
from anamnesis.training.random_streams import RandomStreams


@dataclass(frozen=True, slots=True)
class TensorSplit:
    """Samples of one or several tasks, ready for a network.

    Attributes:
        images: [N, C, H, W] float16 in [0, 1]; half the memory, an error far below the noise of any scanner.
        targets: [N] columns of the label space, or [N, H, W] class per pixel.
        ids: [N] sample ids.
    """

    images: Tensor
    targets: Tensor
    ids: tuple[str, ...]

    def __add__(self, other: "TensorSplit") -> "TensorSplit":
        """Returns both, one after the other."""
        images, targets = (torch.cat(pair) for pair in zip(self._tensors, other._tensors, strict=True))
        return TensorSplit(images, targets, self.ids + other.ids)

    @property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        return self.images, self.targets


def tensors_of(
    samples: Iterable[Sample], task: Task, modality: str, labels: tuple[str, ...], spec: NetworkSpec
) -> TensorSplit:
    """Turns samples into one tensor per split, resizing all images of one shape in one go.

    Args:
        samples: of one split; every one has a target.
        task: whose classes the targets index.
        modality: which image of each sample the network reads.
        labels: the model's label space.
        spec: channels and size of the network's input.

    Raises:
        InputError: no samples, a sample without that modality or with numbers that are not finite.
    """
    listed = list(samples)
    if not listed:
        raise InputError(f"task {task.name!r}: there is no sample to read; ingest labelled studies first")
    images = torch.empty(len(listed), spec.channels, *spec.size, dtype=torch.float16)
    for shape, rows in _by_shape(listed, modality).items():
        images[rows] = _prepare([listed[row] for row in rows], modality, shape[0], spec).half()
    return TensorSplit(images, _targets(listed, task, labels, spec), tuple(sample.id for sample in listed))


def _by_shape(samples: list[Sample], modality: str) -> Mapping[tuple[str, str, tuple[int, ...]], list[int]]:
    groups: dict[tuple[str, str, tuple[int, ...]], list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        if modality not in sample.images:
            raise InputError(f"sample {sample.id}: no image {modality!r}; it has {', '.join(sorted(sample.images))}")
        image = sample.images[modality]
        groups[image.axes, image.pixels.dtype.str, image.pixels.shape].append(row)
    return groups


def _prepare(samples: list[Sample], modality: str, axes: str, spec: NetworkSpec) -> Tensor:
    arrays = [sample.images[modality].pixels for sample in samples]
    byte = arrays[0].dtype == np.uint8
    pixels = torch.from_numpy(np.stack(arrays).astype(np.float32))
    if not torch.isfinite(pixels).all():
        broken = [
            s.id for s, finite in zip(samples, torch.isfinite(pixels).flatten(1).all(1), strict=True) if not finite
        ]
        raise InputError(f"{len(broken)} samples hold numbers that are not finite, first {broken[0]}; ingest them anew")
    planes = to_planes(to_unit(pixels, modality, byte), axes)
    return resize(to_channels(planes, spec.channels), spec.size)


def _targets(samples: list[Sample], task: Task, labels: tuple[str, ...], spec: NetworkSpec) -> Tensor:
    targets = [sample.target for sample in samples]
    if task.type is TaskType.CLASSIFICATION:
        columns = columns_of(task, labels)
        indices = [target.index if target else None for target in targets]
        if None in indices:
            raise InputError(f"sample {samples[indices.index(None)].id}: no class, but it is in a labelled split")
        return torch.tensor([columns[index] for index in indices if index is not None])
    if task.type is TaskType.SEGMENTATION:
        masks = [
            sample.images[target.mask]
            for sample, target in zip(samples, targets, strict=True)
            if target and target.mask
        ]
        planes = [to_planes(torch.from_numpy(mask.pixels.astype(np.float32))[None], mask.axes) for mask in masks]
        return torch.cat([torch.nn.functional.interpolate(plane, spec.size, mode="nearest") for plane in planes])[
            :, 0
        ].long()
    raise InputError(f"task {task.name!r}: training on {task.type.value} is not there yet")


@dataclass(frozen=True, slots=True)
class SplitData:
    """The ``Data`` of one update: its splits, its random streams, its device.

    Attributes:
        splits: what the update may see.
        settings: batch size and whether to augment.
        streams: shuffling and augmentation.
        numerics: device and layout.
        augmentation: how far views are moved.
    """

    splits: Mapping[Split, TensorSplit]
    settings: TrainingSettings
    streams: RandomStreams
    numerics: Numerics
    augmentation: Augmentation = field(default_factory=Augmentation)

    def count(self, split: Split) -> int:
        """Returns how many samples the split has."""
        return len(self.splits[split].ids)

    def __call__(
        self, split: Split, views: int = 0, *, stage: str = "", epoch: int = 0, start: int = 0
    ) -> Iterator[Batch]:
        """Yields batches; see ``anamnesis.methods.base.Data``."""
        order = torch.arange(self.count(split))
        if views:
            order = order[torch.randperm(len(order), generator=self.streams.generator("shuffle", stage, epoch))]
        for number, index in enumerate(torch.split(order, self.settings.batch_size)):
            if number >= start:
                yield self._batch(self.splits[split], index, views, (stage, epoch, number))

    def _batch(self, split: TensorSplit, index: Tensor, views: int, place: tuple[object, ...]) -> Batch:
        device = self.numerics.device
        images = split.images[index].to(device, torch.float32)
        targets = split.targets[index].to(device)
        if not views or not self.settings.augment:
            return Batch((self._laid_out(images),) * max(views, 1), targets, index)
        masks = targets if targets.dim() == 3 else None
        moved = []
        for view in range(views):
            # Drawn on the processor, so that every device sees the same augmentation.
            generator = self.streams.generator("augment", *place, 0 if masks is not None else view)
            image, mask = self.augmentation(images, generator, masks)
            moved.append(self._laid_out(image))
        return Batch(tuple(moved), targets if masks is None or mask is None else mask, index)

    def _laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=self.numerics.layout)
