"""A buffer of real images, eight bit, with their logits; methods with one declare ``stores_exemplars``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict
from anamnesis.records import Split
from anamnesis.training.augmentation import Augmentation

_TENSOR_NAMES = ("images", "targets", "logits", "known")
"""Names of the stored tensors, in the order of the fields of ``StoredSamples``."""


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """Some stored samples.

    Attributes:
        images: [B, C, H, W] uint8 in the buffer, or float32 in [0, 1] once drawn.
        targets: [B] columns of the logits.
        logits: [B, K] of the network at the time of storing.
        class_counts: [B] number of columns of the logits at that time; logits beyond are zeros without meaning.
    """

    images: Tensor
    targets: Tensor
    logits: Tensor
    class_counts: Tensor

    def __getitem__(self, rows: Tensor) -> "StoredSamples":
        """Returns the samples of ``rows``."""
        rows = rows.to(self.images.device)
        return StoredSamples(self.images[rows], self.targets[rows], self.logits[rows], self.class_counts[rows])

    def __len__(self) -> int:
        return len(self.images)

    def augment(self, augmentation: Augmentation, generator: torch.Generator) -> "StoredSamples":
        """Returns drawn samples with their images augmented."""
        return replace(self, images=augmentation(self.images, generator)[0])


class ReplayBuffer:
    """At most ``capacity`` samples.

    Attributes:
        capacity: largest number of samples.
        offered_count: number of samples offered so far.
        samples: the stored samples; none before the first.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.offered_count = capacity, 0
        self.samples: StoredSamples | None = None

    def __len__(self) -> int:
        return 0 if self.samples is None else len(self.samples)

    def offer(self, images: Tensor, targets: Tensor, logits: Tensor, generator: torch.Generator) -> None:
        """Reservoir sampling (Vitter 1985): every sample ever offered is in the buffer with equal probability.

        Args:
            images: [N, C, H, W] in [0, 1].
            targets: [N].
            logits: [N, K].
            generator: of the draws, on the processor.
        """
        new_samples = to_stored_samples(images, targets, logits)
        stream_positions = self.offered_count + torch.arange(len(new_samples))  # each sample's place in the stream
        random_slots = (
            torch.rand(len(new_samples), generator=generator, dtype=torch.float64) * (stream_positions + 1)
        ).long()
        slots = torch.where(stream_positions < self.capacity, stream_positions, random_slots).tolist()
        # Slot -> row of the buffer with the new samples behind it; of two samples in one slot, the later one stays.
        row_of_slot = {slot: slot for slot in range(len(self))}
        row_of_slot |= {slot: len(self) + row for row, slot in enumerate(slots) if slot < self.capacity}
        self.samples = concatenate_samples(self.samples, new_samples)[torch.tensor(list(row_of_slot.values()))]
        self.offered_count += len(new_samples)

    def balance(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> None:
        """Adds samples and keeps a random subset with equally many of each class, as far as there are enough.

        Args:
            images: [N, C, H, W] uint8.
            targets: [N].
            generator: of the draws, on the processor.
        """
        empty_logits = images.new_zeros(len(images), 0, dtype=torch.float32)
        all_samples = concatenate_samples(
            self.samples, StoredSamples(images, targets, empty_logits, torch.zeros_like(targets))
        )
        permutation = torch.randperm(len(all_samples), generator=generator)
        classes = all_samples.targets.cpu()[permutation]
        is_class = classes[:, None] == torch.arange(int(classes.max()) + 1)
        rank_in_class = (is_class.cumsum(0) * is_class).sum(
            1
        )  # the first of each class come first, then the second of each
        self.samples = all_samples[permutation[rank_in_class.argsort(stable=True)[: self.capacity]]]
        self.offered_count += len(images)

    def draw(self, count: int, generator: torch.Generator) -> StoredSamples:
        """Returns up to ``count`` different samples, images as float32 in [0, 1]; the buffer must not be empty."""
        assert self.samples is not None
        drawn_samples = self.samples[torch.randperm(len(self), generator=generator)[:count]]
        return replace(drawn_samples, images=drawn_samples.images.float() / 255)

    def to(self, device: torch.device) -> None:
        """Moves the stored samples."""
        if self.samples is not None:
            self.samples = StoredSamples(*(value.to(device) for value in _tensors_by_name(self.samples).values()))

    def state_dict(self) -> StateDict:
        """Returns the stored samples, and the number of offered ones."""
        state: StateDict = {"seen": self.offered_count}
        return state if self.samples is None else state | _tensors_by_name(self.samples)

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores what ``state_dict`` returned; an empty state empties the buffer."""
        offered_count = state.get("seen", 0)
        assert isinstance(offered_count, int)
        self.offered_count = offered_count
        tensors = {name: value.to(device) for name, value in state.items() if isinstance(value, Tensor)}
        self.samples = StoredSamples(*(tensors[name] for name in _TENSOR_NAMES)) if tensors else None


def to_stored_samples(images: Tensor, targets: Tensor, logits: Tensor) -> StoredSamples:
    """Returns samples as a buffer stores them: images in eight bit, logits in float32."""
    class_counts = torch.full_like(targets, logits.shape[1])
    return StoredSamples(to_uint8(images), targets, logits.detach().float(), class_counts)


def read_training_images(data: Data) -> tuple[Tensor, Tensor]:
    """Returns the training split as a buffer would store it: images [N, C, H, W] uint8, and targets [N]."""
    batches = [(to_uint8(batch.images), batch.targets) for batch in data(Split.TRAIN)]
    return torch.cat([images for images, _ in batches]), torch.cat([targets for _, targets in batches])


def to_uint8(images: Tensor) -> Tensor:
    """Returns images in [0, 1] as uint8; images that were eight bit and not resized come back exactly."""
    return (images * 255).round().clamp(0, 255).byte().contiguous()


def concatenate_samples(first: StoredSamples | None, second: StoredSamples) -> StoredSamples:
    """Returns both, one after the other; logits of fewer columns are padded with zeros."""
    if first is None:
        return second
    pairs = ((first.images, second.images), (first.targets, second.targets), (first.class_counts, second.class_counts))
    images, targets, class_counts = (torch.cat(pair) for pair in pairs)
    class_count = max(first.logits.shape[1], second.logits.shape[1])
    return StoredSamples(
        images,
        targets,
        torch.cat([_pad_logits(first.logits, class_count), _pad_logits(second.logits, class_count)]),
        class_counts,
    )


def _pad_logits(logits: Tensor, class_count: int) -> Tensor:
    return torch.nn.functional.pad(logits, (0, class_count - logits.shape[1]))


def _tensors_by_name(samples: StoredSamples) -> dict[str, Tensor]:
    fields = (samples.images, samples.targets, samples.logits, samples.class_counts)
    return dict(zip(_TENSOR_NAMES, fields, strict=True))
