"""A split of a snapshot at the network's size, and its deterministic batches."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor

from anamnesis.methods.base import CLASS, DAYS, EVENT, MASK, PATIENT, Batch
from anamnesis.methods.batch_sources import batch_sizes
from anamnesis.methods.stage import AugmentationChoice, TrainingPass
from anamnesis.records import (
    InputError,
    NetworkSettings,
    PatchSettings,
    Sample,
    Split,
    Task,
    TaskType,
    TrainingSettings,
    find_class_indices,
)
from anamnesis.snapshots.manifest import SampleRecord
from anamnesis.training.augmentation import Augmentation
from anamnesis.training.input_checks import check_images
from anamnesis.training.intensity import resize, resize_mask, to_channels, to_sides, to_unit_range
from anamnesis.training.patches import crop_windows, draw_patches, windows_of
from anamnesis.training.precision import Precision
from anamnesis.training.random_streams import RandomStreams
from anamnesis.training.read_ahead import read_ahead
from anamnesis.training.split_arrays.rows import Rows, join_rows, read_stored, to_unit
from anamnesis.training.split_arrays.stored_features import FeatureFolder


@dataclass(frozen=True, slots=True)
class TensorSplit:
    """Samples of one or several tasks, ready for a network.

    Attributes:
        inputs: modality -> [N, C, H, W] in [0, 1]: rows of a memory-mapped file, or a tensor.
        targets: ``CLASS`` -> [N] columns of the label space, or ``MASK`` -> [N, H, W] class per pixel, or ``DAYS`` and
            ``EVENT`` -> [N].
        sample_ids: [N] sample ids.
        feature_folder: where features of the images are kept; none where the images are not from the scratch folder.
    """

    inputs: Mapping[str, Rows]
    targets: Mapping[str, Rows]
    sample_ids: tuple[str, ...]
    feature_folder: FeatureFolder | None = None

    @classmethod
    def of_images(cls, images: Tensor, targets: Tensor, sample_ids: tuple[str, ...], modality: str = "OT") -> Self:
        """Returns a split of one input, each sample of another patient; targets of one axis are columns."""
        if targets.dim() > 1:
            return cls({modality: images}, {MASK: targets}, sample_ids)
        return cls({modality: images}, {CLASS: targets, PATIENT: torch.arange(len(targets))}, sample_ids)

    @property
    def images(self) -> Rows:
        """The first input."""
        return next(iter(self.inputs.values()))

    @property
    def classes(self) -> Tensor:
        """[N] columns of the label space."""
        return self.targets[CLASS][:]

    @property
    def masks(self) -> Rows:
        """[N, ...] class per pixel."""
        return self.targets[MASK]

    def __add__(self, other: "TensorSplit") -> "TensorSplit":
        """Returns both, one after the other; one input each is joined also where the modalities differ.

        Raises:
            InputError: several inputs, and the other split has other ones.
        """
        names, other_names = tuple(self.inputs), tuple(other.inputs)
        if names != other_names and (len(names), len(other_names)) != (1, 1):
            raise InputError(
                f"sites with the modalities {', '.join(names)} and {', '.join(other_names)} cannot be learned "
                "together: a method of several modalities needs the same ones at each site; create Sites with the "
                "same spec.modalities"
            )
        joined_names = [_join_names(*pair) for pair in zip(names, other_names, strict=True)]
        images = (join_rows(*pair) for pair in zip(self.inputs.values(), other.inputs.values(), strict=True))
        inputs = dict(zip(joined_names, images, strict=True))
        targets = {name: join_rows(target, other.targets[name]) for name, target in self.targets.items()}
        if PATIENT in targets:  # two sites have no patient in common
            numbers = self.targets[PATIENT][:]
            targets[PATIENT] = torch.cat([numbers, other.targets[PATIENT][:] + numbers.max() + 1])
        return TensorSplit(inputs, targets, self.sample_ids + other.sample_ids)


def _join_names(name: str, other_name: str) -> str:
    """Returns ``CT + DX`` for two inputs of other names."""
    return " + ".join(dict.fromkeys((*name.split(" + "), *other_name.split(" + "))))


def samples_to_tensors(
    samples: Iterable[Sample],
    task: Task,
    modalities: tuple[str, ...],
    labels: tuple[str, ...],
    spec: NetworkSettings,
) -> TensorSplit:
    """Converts samples to one tensor for each modality; images of one shape are resized together.

    All samples are in memory: ``open_split_arrays`` is the way for a split.

    Args:
        samples: of one split; each has a target.
        task: the targets are indices of its classes.
        modalities: the images of each sample to read.
        labels: the model's label space.
        spec: channels and size of the network's input.

    Raises:
        InputError: no samples, or samples without one of the modalities or with non-finite numbers.
    """
    all_samples = list(samples)
    check_samples(all_samples, task)
    return TensorSplit(
        {modality: _stack_images(all_samples, modality, spec) for modality in modalities},
        _stack_targets(all_samples, task, modalities[0], labels, spec),
        tuple(sample.id for sample in all_samples),
    )


def _stack_images(samples: list[Sample], modality: str, spec: NetworkSettings) -> Tensor:
    check_images(samples, modality, spec)
    images = torch.empty(len(samples), spec.channels, *spec.image_size)
    for rows in _rows_by_shape(samples, modality):
        images[rows] = _prepare_images([samples[row] for row in rows], modality, spec)
    return images


def _rows_by_shape(samples: list[Sample], modality: str) -> Iterable[list[int]]:
    rows_by_shape: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
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
    scaled = to_unit_range(pixels, modality, is_byte)
    images = to_sides(scaled, first_image.axes, first_image.slice_axis, len(spec.size))
    return resize(to_channels(images, spec.channels), spec.image_size)


def check_samples(samples: Sequence[Sample | SampleRecord], task: Task) -> None:
    """Checks that there are samples, and that the type of the task is supported.

    Raises:
        InputError: it is not so.
    """
    if not samples:
        raise InputError(
            f"task {task.name!r}: found no labelled samples; check the labels and the training/test split of the "
            "site's data, then ingest the site again"
        )
    if task.type is TaskType.PRETRAINING:
        raise InputError(
            f"task {task.name!r}: type: expected Classification, Segmentation or Prognosis, found {task.type.value}, "
            "which is not supported yet; create a Site with a supported spec.task.type"
        )


def row_targets(samples: Sequence[Sample | SampleRecord], task: Task, labels: tuple[str, ...]) -> dict[str, Tensor]:
    """Returns the targets that are not arrays: classes, or times and events; nothing for a segmentation.

    Raises:
        InputError: a sample has no target of the task's type, or the label space does not have the classes.
    """
    if task.type is TaskType.SEGMENTATION:
        return {}
    if task.type is TaskType.PROGNOSIS:
        days, events = follow_up_of(samples, task)
        return {DAYS: torch.tensor(days), EVENT: torch.tensor(events)}
    return {CLASS: class_columns(samples, task, labels), PATIENT: number_patients(sample.patient for sample in samples)}


def number_patients(patients: Iterable[str]) -> Tensor:
    """Returns [N], the same number for the same patient, from 0."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(patient, len(numbers)) for patient in patients])


def follow_up_of(samples: Sequence[Sample | SampleRecord], task: Task) -> tuple[list[float], list[bool]]:
    """Returns the days [N] to the event or to the end of observation, and whether the event was observed [N].

    Raises:
        InputError: a sample has no time or no event.
    """
    targets = [sample.target for sample in samples if sample.target]
    times = [(item.days, item.event) for item in targets if item.days is not None and item.event is not None]
    if len(times) < len(samples):
        raise InputError(
            f"task {task.name!r}: {len(samples) - len(times)} of {len(samples)} samples have no time to the event or "
            "to the end of observation; fill the columns days and event of the site's manifest, then ingest the site "
            "again"
        )
    return [days for days, _ in times], [event for _, event in times]


def class_columns(samples: Sequence[Sample | SampleRecord], task: Task, labels: tuple[str, ...]) -> Tensor:
    """Returns the column [N] of the label space of the class of each sample.

    Raises:
        InputError: a sample has no class, or the label space does not have the classes.
    """
    class_indices = find_class_indices(task, labels)
    positions = [sample.target.index if sample.target else None for sample in samples]
    if None in positions:
        raise InputError(
            f"sample {samples[positions.index(None)].id}: a labelled sample has no class of task "
            f"{task.name!r}; correct its label at the site, then ingest the site again"
        )
    return torch.tensor([class_indices[position] for position in positions if position is not None])


def _stack_targets(
    samples: list[Sample], task: Task, modality: str, labels: tuple[str, ...], spec: NetworkSettings
) -> dict[str, Tensor]:
    if task.type is not TaskType.SEGMENTATION:
        return row_targets(samples, task, labels)
    masks = [
        (sample.images[sample.target.mask], sample.images[modality].slice_axis)
        for sample in samples
        if sample.target and sample.target.mask
    ]
    pixels = [
        to_sides(torch.from_numpy(mask.pixels.astype(np.float32))[None], mask.axes, slice_axis, len(spec.size))
        for mask, slice_axis in masks
    ]
    return {MASK: torch.cat([resize_mask(mask, spec.image_size) for mask in pixels])[:, 0].long()}


@dataclass(frozen=True, slots=True)
class _StoredBatch:
    """A batch as it is stored, in the memory of the processor.

    Attributes:
        number: of the batch in its pass.
        inputs: modality -> [N, C, H, W] uint8, uint16 or float.
        targets: see ``Batch``.
        sample_indices: [N] positions in the split.
    """

    number: int
    inputs: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    sample_indices: Tensor


@dataclass(frozen=True, slots=True)
class SplitData:
    """The ``Data`` of one update: its splits, random streams and device.

    For a GPU, a thread reads the next batches into pinned memory; integers travel, and become floats there.

    Attributes:
        splits: the splits that the update may read.
        settings: batch size and whether to augment, of passes that do not declare theirs.
        streams: shuffling and augmentation.
        precision: device and layout.
        augmentation: limits of the random changes of views.
        network: whose patches are drawn, where it reads patches.
    """

    splits: Mapping[Split, TensorSplit]
    settings: TrainingSettings
    streams: RandomStreams
    precision: Precision
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: NetworkSettings = field(default_factory=NetworkSettings)

    def count(self, split: Split) -> int:
        """Returns the number of samples of the split."""
        return len(self.splits[split].sample_ids)

    def __call__(self, split: Split, training_pass: TrainingPass | None = None) -> Iterator[Batch]:
        """Yields batches; see ``anamnesis.methods.base.Data``.

        Where the network reads patches, shuffled batches have ``perVolume`` random patches of each sample, and clean
        ones all windows of each sample, one after the other.
        """
        if training_pass is None and self.network.patches:
            yield from self._window_batches(self.splits[split], self.network.patches)
            return
        if training_pass is None:
            for stored in self._read(split, torch.split(torch.arange(self.count(split)), self.settings.batch_size)):
                yield self._make_batch(stored, 0, None, ())
            return
        stream_name = training_pass.stage, training_pass.epoch
        order = torch.randperm(self.count(split), generator=self.streams.generator("shuffle", *stream_name))
        augmentation = self._augmentation_of(training_pass)
        sizes = batch_sizes(len(order), training_pass.batch_size or self.settings.batch_size)
        for stored in self._read(split, torch.split(order, sizes), training_pass.first_batch):
            yield self._make_batch(stored, training_pass.views, augmentation, (*stream_name, stored.number))

    def _read(self, split: Split, positions: Sequence[Tensor], first_batch: int = 0) -> Iterator[_StoredBatch]:
        """Yields the batches with these positions of samples, from ``first_batch`` on, on the processor."""
        numbered = list(enumerate(positions))[first_batch:]
        batches = (self._read_batch(self.splits[split], *each) for each in numbered)
        return read_ahead(batches) if self.precision.device.type == "cuda" else batches

    def _read_batch(self, split: TensorSplit, number: int, sample_indices: Tensor) -> _StoredBatch:
        inputs = {name: read_stored(images, sample_indices) for name, images in split.inputs.items()}
        targets = {name: target[sample_indices] for name, target in split.targets.items()}
        if self.precision.device.type == "cuda":
            inputs, targets = _pin(inputs), _pin(targets)
        return _StoredBatch(number, inputs, targets, sample_indices)

    def _augmentation_of(self, training_pass: TrainingPass) -> Augmentation | None:
        if training_pass.augmentation is AugmentationChoice.SETTINGS:
            return self.augmentation if self.settings.augment else None
        return None if training_pass.augmentation is AugmentationChoice.NONE else training_pass.augmentation

    def _make_batch(
        self, stored: _StoredBatch, views: int, augmentation: Augmentation | None, stream_name: tuple[object, ...]
    ) -> Batch:
        inputs, targets = self._to_device(stored)
        sample_indices = stored.sample_indices
        if patches := self.network.patches:
            seed = self.streams.derive_seed("patches", *stream_name)
            inputs, targets = draw_patches(inputs, targets, patches, self.network.size, seed)
            sample_indices = sample_indices.repeat_interleave(patches.per_volume)
        if augmentation is None:
            clean = {name: (self.precision.lay_out(images),) * max(views, 1) for name, images in inputs.items()}
            return Batch(clean, targets, sample_indices, next(iter(inputs.values())))
        augmented: dict[str, list[Tensor]] = {name: [] for name in inputs}
        moved_mask: Tensor | None = None
        for view, (name, images) in itertools.product(range(views), inputs.items()):
            # Drawn on the processor, so that the augmentation is the same on every device; each input draws the same
            # numbers, so that the inputs of a view have one map.
            generator = self.streams.generator("augment", *stream_name, 0 if MASK in targets else view)
            image, mask = augmentation(images, generator, targets.get(MASK) if view == 0 else None)
            augmented[name].append(self.precision.lay_out(image))
            moved_mask = mask if mask is not None else moved_mask
        if moved_mask is not None:
            targets |= {MASK: moved_mask}
        views_by_name = {name: tuple(images) for name, images in augmented.items()}
        return Batch(views_by_name, targets, sample_indices, next(iter(inputs.values())))

    def _to_device(self, stored: _StoredBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns inputs and targets on the device."""
        device = self.precision.device
        inputs = {name: to_unit(images.to(device, non_blocking=True)) for name, images in stored.inputs.items()}
        return inputs, {name: target.to(device, non_blocking=True) for name, target in stored.targets.items()}

    def _window_batches(self, split: TensorSplit, patches: PatchSettings) -> Iterator[Batch]:
        windows = windows_of(patches.volume, self.network.size)
        positions = torch.arange(len(split.sample_ids) * len(windows))
        for chunk in torch.split(positions, self.settings.batch_size):
            sample_indices = chunk // len(windows)
            rows, places = torch.unique_consecutive(sample_indices, return_inverse=True)
            chunk_windows = [windows[number] for number in (chunk % len(windows)).tolist()]
            inputs, targets = self._to_device(self._read_batch(split, 0, rows))
            crops = {name: crop_windows(images, places.tolist(), chunk_windows) for name, images in inputs.items()}
            crop_targets = {
                name: crop_windows(target, places.tolist(), chunk_windows) if name == MASK else target[places]
                for name, target in targets.items()
            }
            views = {name: (self.precision.lay_out(images),) for name, images in crops.items()}
            yield Batch(views, crop_targets, sample_indices)


def _pin(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns copies in pinned memory, from which a GPU reads while the processor works."""
    return {name: tensor.pin_memory() for name, tensor in tensors.items()}
