"""A buffer of real images, eight bit, with their answers. What stores patients' images must say so: see ``Needs``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from anamnesis.methods.base import Data, State
from anamnesis.records import Split
from anamnesis.training.augmentation import Augmentation


@dataclass(frozen=True, slots=True)
class Memory:
    """Some remembered samples.

    Attributes:
        images: [B, C, H, W] uint8; as they lie in the buffer, or float32 in [0, 1] once drawn.
        targets: [B] columns of the logits.
        logits: [B, K] what the network answered when they were stored.
        known: [B] how many columns it had then; the logits beyond are zeros that mean nothing.
    """

    images: Tensor
    targets: Tensor
    logits: Tensor
    known: Tensor

    def __getitem__(self, rows: Tensor) -> "Memory":
        """Returns some of them."""
        rows = rows.to(self.images.device)
        return Memory(self.images[rows], self.targets[rows], self.logits[rows], self.known[rows])

    def __len__(self) -> int:
        return len(self.images)

    def moved(self, augmentation: Augmentation, generator: torch.Generator) -> "Memory":
        """Returns drawn samples with their images augmented."""
        return replace(self, images=augmentation(self.images, generator)[0])


class Buffer:
    """At most ``capacity`` samples.

    Attributes:
        capacity: how many.
        seen: how many were offered so far.
        memory: what is in it; none before the first.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.seen = capacity, 0
        self.memory: Memory | None = None

    def __len__(self) -> int:
        return 0 if self.memory is None else len(self.memory)

    def offer(self, images: Tensor, targets: Tensor, logits: Tensor, generator: torch.Generator) -> None:
        """Reservoir sampling (Vitter 1985): every sample ever offered is in the buffer with equal probability.

        Args:
            images: [N, C, H, W] in [0, 1].
            targets: [N].
            logits: [N, K].
            generator: of the draws, on the processor.
        """
        fresh = remembered(images, targets, logits)
        order = self.seen + torch.arange(len(fresh))  # each sample's place in the stream
        drawn = (torch.rand(len(fresh), generator=generator, dtype=torch.float64) * (order + 1)).long()
        slots = torch.where(order < self.capacity, order, drawn).tolist()
        # Slot -> row of the buffer with the new samples behind it; of two in one slot, the later one stays.
        chosen = {slot: slot for slot in range(len(self))}
        chosen |= {slot: len(self) + row for row, slot in enumerate(slots) if slot < self.capacity}
        self.memory = joined(self.memory, fresh)[torch.tensor(list(chosen.values()))]
        self.seen += len(fresh)

    def balance(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> None:
        """Takes in samples and keeps equally many of each class, drawn at random, as far as they go round.

        Args:
            images: [N, C, H, W] uint8.
            targets: [N].
            generator: of the draws, on the processor.
        """
        unasked = images.new_zeros(len(images), 0, dtype=torch.float32)
        whole = joined(self.memory, Memory(images, targets, unasked, torch.zeros_like(targets)))
        order = torch.randperm(len(whole), generator=generator)
        classes = whole.targets.cpu()[order]
        same = classes[:, None] == torch.arange(int(classes.max()) + 1)
        turn = (same.cumsum(0) * same).sum(1)  # the first of each class come first, then the second of each
        self.memory = whole[order[turn.argsort(stable=True)[: self.capacity]]]
        self.seen += len(images)

    def draw(self, count: int, generator: torch.Generator) -> Memory:
        """Returns up to ``count`` different samples, images as float32 in [0, 1]; the buffer must not be empty."""
        assert self.memory is not None
        found = self.memory[torch.randperm(len(self), generator=generator)[:count]]
        return replace(found, images=found.images.float() / 255)

    def to(self, device: torch.device) -> None:
        """Moves what is in it."""
        if self.memory is not None:
            named = _tensors(self.memory).items()
            self.memory = Memory(**{name: value.to(device) for name, value in named})

    def state_dict(self) -> State:
        """Returns what is in it, and how many were offered."""
        named: State = {"seen": self.seen}
        return named if self.memory is None else named | _tensors(self.memory)

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes back what ``state_dict`` gave; an empty state empties it."""
        seen = state.get("seen", 0)
        assert isinstance(seen, int)
        self.seen = seen
        found = {name: value.to(device) for name, value in state.items() if isinstance(value, Tensor)}
        self.memory = Memory(**found) if found else None


def remembered(images: Tensor, targets: Tensor, logits: Tensor) -> Memory:
    """Returns samples as a buffer keeps them: images in eight bit, logits in float32."""
    known = torch.full_like(targets, logits.shape[1])
    return Memory(eight_bit(images), targets, logits.detach().float(), known)


def clean(data: Data) -> tuple[Tensor, Tensor]:
    """Returns the training split as a buffer would keep it: images [N, C, H, W] uint8, and targets [N]."""
    batches = [(eight_bit(batch.images), batch.targets) for batch in data(Split.TRAIN)]
    return torch.cat([images for images, _ in batches]), torch.cat([targets for _, targets in batches])


def eight_bit(images: Tensor) -> Tensor:
    """Returns images in [0, 1] as uint8; what was eight bit before and was not resized comes back exactly."""
    return (images * 255).round().clamp(0, 255).byte().contiguous()


def joined(one: Memory | None, other: Memory) -> Memory:
    """Returns both, one after the other; logits of fewer columns are filled up with zeros."""
    if one is None:
        return other
    pairs = ((one.images, other.images), (one.targets, other.targets), (one.known, other.known))
    images, targets, known = (torch.cat(pair) for pair in pairs)
    columns = max(one.logits.shape[1], other.logits.shape[1])
    return Memory(images, targets, torch.cat([_widened(one.logits, columns), _widened(other.logits, columns)]), known)


def _widened(logits: Tensor, columns: int) -> Tensor:
    return torch.nn.functional.pad(logits, (0, columns - logits.shape[1]))


def _tensors(memory: Memory) -> dict[str, Tensor]:
    return {"images": memory.images, "targets": memory.targets, "logits": memory.logits, "known": memory.known}
