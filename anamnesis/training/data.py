"""A split of a snapshot as tensors in memory, and its deterministic batches."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from anamnesis.methods.base import Batch
from anamnesis.records import (
    InputError,
    NetworkSettings,
    Sample,
    Split,
    Task,
    TaskType,
    TrainingSettings,
    find_class_indices,
)
from anamnesis.training.augmentation import Augmentation
from anamnesis.training.intensity import resize, to_channels, to_planes, to_unit_range
from anamnesis.training.precision import Precision
from anamnesis.training.random_streams import RandomStreams


@dataclass(frozen=True, slots=True)
class TensorSplit:
    """Samples of one or several tasks, ready for a network.

    Attributes:
        images: [N, C, H, W] float16 in [0, 1]; half the memory of float32, an error far below scanner noise.
        targets: [N] columns of the label space, or [N, H, W] class per pixel.
        sample_ids: [N] sample ids.
    """

    images: Tensor
    targets: Tensor
    sample_ids: tuple[str, ...]

    def __add__(self, other: "TensorSplit") -> "TensorSplit":
        """Returns both, one after the other."""
        images, targets = (torch.cat(pair) for pair in zip(self._tensors, other._tensors, strict=True))
        return TensorSplit(images, targets, self.sample_ids + other.sample_ids)

    @property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        return self.images, self.targets


def samples_to_tensors(
    samples: Iterable[Sample], task: Task, modality: str, labels: tuple[str, ...], spec: NetworkSettings
) -> TensorSplit:
    """Converts samples to one tensor per split; images of one shape are resized together.

    Args:
        samples: of one split; each has a target.
        task: the targets are indices of its classes.
        modality: the image of each sample to read.
        labels: the model's label space.
        spec: channels and size of the network's input.

    Raises:
        InputError: no samples, or a sample without that modality or with non-finite numbers.
    """
    all_samples = list(samples)
    if not all_samples:
        raise InputError(
            f"task {task.name!r}: found no labelled samples; check the labels and the training/test split of the "
            "site's data, then ingest the site again"
        )
    images = torch.empty(len(all_samples), spec.channels, *spec.size, dtype=torch.float16)
    for rows in _rows_by_shape(all_samples, modality):
        images[rows] = _prepare_images([all_samples[row] for row in rows], modality, spec).half()
    return TensorSplit(
        images, _stack_targets(all_samples, task, modality, labels, spec), tuple(sample.id for sample in all_samples)
    )


def _rows_by_shape(samples: list[Sample], modality: str) -> Iterable[list[int]]:
    rows_by_shape: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        if modality not in sample.images:
            raise InputError(
                f"sample {sample.id}: expected an image of modality {modality!r}, found "
                f"{', '.join(sorted(sample.images))}; ask the site for studies with this modality, or create a Site "
                "with another modality at the first place of spec.modalities"
            )
        image = sample.images[modality]
        rows_by_shape[image.axes, image.slice_axis, image.pixels.dtype.str, image.pixels.shape].append(row)
    return rows_by_shape.values()


def _prepare_images(samples: list[Sample], modality: str, spec: NetworkSettings) -> Tensor:
    first_image = samples[0].images[modality]
    arrays = [sample.images[modality].pixels for sample in samples]
    is_byte = arrays[0].dtype == np.uint8
    pixels = torch.from_numpy(np.stack(arrays).astype(np.float32))
    if not torch.isfinite(pixels).all():
        non_finite_ids = [
            loaded_sample.id
            for loaded_sample, is_finite in zip(samples, torch.isfinite(pixels).flatten(1).all(1), strict=True)
            if not is_finite
        ]
        raise InputError(
            f"{len(non_finite_ids)} samples have pixels that are NaN or infinite, first sample {non_finite_ids[0]}; "
            "ask the site to export these images again, then ingest the site again"
        )
    planes = to_planes(to_unit_range(pixels, modality, is_byte), first_image.axes, first_image.slice_axis)
    return resize(to_channels(planes, spec.channels), spec.size)


def _stack_targets(
    samples: list[Sample], task: Task, modality: str, labels: tuple[str, ...], spec: NetworkSettings
) -> Tensor:
    targets = [sample.target for sample in samples]
    if task.type is TaskType.CLASSIFICATION:
        class_indices = find_class_indices(task, labels)
        target_indices = [target.index if target else None for target in targets]
        if None in target_indices:
            raise InputError(
                f"sample {samples[target_indices.index(None)].id}: a labelled sample has no class of task "
                f"{task.name!r}; correct its label at the site, then ingest the site again"
            )
        return torch.tensor([class_indices[index] for index in target_indices if index is not None])
    if task.type is TaskType.SEGMENTATION:
        masks = [
            (sample.images[target.mask], sample.images[modality].slice_axis)
            for sample, target in zip(samples, targets, strict=True)
            if target and target.mask
        ]
        planes = [
            to_planes(torch.from_numpy(mask.pixels.astype(np.float32))[None], mask.axes, slice_axis)
            for mask, slice_axis in masks
        ]
        return torch.cat([torch.nn.functional.interpolate(plane, spec.size, mode="nearest") for plane in planes])[
            :, 0
        ].long()
    raise InputError(
        f"task {task.name!r}: type: expected Classification or Segmentation, found {task.type.value}, which is not "
        "supported yet; create a Site with a supported spec.task.type"
    )


@dataclass(frozen=True, slots=True)
class SplitData:
    """The ``Data`` of one update: its splits, random streams and device.

    Attributes:
        splits: the splits that the update may read.
        settings: batch size and whether to augment.
        streams: shuffling and augmentation.
        precision: device and layout.
        augmentation: limits of the random changes of views.
    """

    splits: Mapping[Split, TensorSplit]
    settings: TrainingSettings
    streams: RandomStreams
    precision: Precision
    augmentation: Augmentation = field(default_factory=Augmentation)

    def count(self, split: Split) -> int:
        """Returns the number of samples of the split."""
        return len(self.splits[split].sample_ids)

    def __call__(
        self, split: Split, views: int = 0, *, stage: str = "", epoch: int = 0, first_batch: int = 0
    ) -> Iterator[Batch]:
        """Yields batches; see ``anamnesis.methods.base.Data``."""
        order = torch.arange(self.count(split))
        if views:
            order = order[torch.randperm(len(order), generator=self.streams.generator("shuffle", stage, epoch))]
        for batch_index, sample_indices in enumerate(torch.split(order, self.settings.batch_size)):
            if batch_index >= first_batch:
                yield self._make_batch(self.splits[split], sample_indices, views, (stage, epoch, batch_index))

    def _make_batch(
        self, split: TensorSplit, sample_indices: Tensor, views: int, stream_name: tuple[object, ...]
    ) -> Batch:
        device = self.precision.device
        images = split.images[sample_indices].to(device, torch.float32)
        targets = split.targets[sample_indices].to(device)
        if not views or not self.settings.augment:
            return Batch((self._to_memory_format(images),) * max(views, 1), targets, sample_indices)
        masks = targets if targets.dim() == 3 else None
        view_images = []
        for view in range(views):
            # Drawn on the processor, so that the augmentation is the same on every device.
            generator = self.streams.generator("augment", *stream_name, 0 if masks is not None else view)
            image, mask = self.augmentation(images, generator, masks)
            view_images.append(self._to_memory_format(image))
        return Batch(tuple(view_images), targets if masks is None or mask is None else mask, sample_indices)

    def _to_memory_format(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=self.precision.memory_format)
