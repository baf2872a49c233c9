"""A buffer of real images, eight bit, with their logits; methods with one declare ``stores_exemplars``.

Each sample names its site: a site that returns takes its samples out before it offers its current ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict
from anamnesis.methods.site_state import site_entries, tensors_by_site
from anamnesis.records import Split
from anamnesis.training.augmentation import Augmentation

_TENSOR_NAMES = ("images", "targets", "logits", "known", "sites")
"""Names of the stored tensors, in the order of the fields of ``StoredSamples``."""
PART = "buffer"


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """Some stored samples.

    Attributes:
        images: [B, C, H, W] uint8 in the buffer, or float32 in [0, 1] once drawn.
        targets: [B] columns of the logits.
        logits: [B, K] of the network at the time of storing.
        class_counts: [B] number of columns of the logits at that time; logits beyond are zeros without meaning.
        sites: [B] positions of their sites among the buffer's.
    """

    images: Tensor
    targets: Tensor
    logits: Tensor
    class_counts: Tensor
    sites: Tensor

    def __getitem__(self, rows: Tensor) -> "StoredSamples":
        """Returns the samples of ``rows``."""
        rows = rows.to(self.images.device)
        return StoredSamples(*(value[rows] for value in _tensors_by_name(self).values()))

    def __len__(self) -> int:
        return len(self.images)

    def augment(self, augmentation: Augmentation, generator: torch.Generator) -> "StoredSamples":
        """Returns drawn samples with their images augmented."""
        return replace(self, images=augmentation(self.images, generator)[0])


class ReplayBuffer:
    """At most ``capacity`` samples.

    State: ``buffer.<site>``, the samples of each site with their slots, and how many samples the site has offered.

    Attributes:
        capacity: largest number of samples.
        offered: by site, the number of samples that it has offered since its samples were last removed.
        samples: the stored samples; none before the first.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.offered: dict[str, int] = {}
        self.samples: StoredSamples | None = None

    def __len__(self) -> int:
        return 0 if self.samples is None else len(self.samples)

    @property
    def offered_count(self) -> int:
        """Number of samples that all sites have offered."""
        return sum(self.offered.values())

    def remove_site(self, site: str) -> None:
        """Removes the samples of ``site``; their slots are free."""
        if site not in self.offered:
            return
        position = list(self.offered).index(site)
        del self.offered[site]
        if self.samples is not None:
            rest = self.samples[(self.samples.sites != position).nonzero()[:, 0]]
            sites = rest.sites - (rest.sites > position).long()
            self.samples = replace(rest, sites=sites) if len(rest) else None

    def is_of_site(self, samples: StoredSamples, site: str) -> Tensor:
        """Returns for each of some samples [B] of this buffer whether they are of ``site``."""
        position = list(self.offered).index(site) if site in self.offered else -1
        return samples.sites == position

    def offer(self, images: Tensor, targets: Tensor, logits: Tensor, site: str, generator: torch.Generator) -> None:
        """Reservoir sampling (Vitter 1985): every sample ever offered is in the buffer with equal probability.

        Where a site took its samples out, new samples fill the free slots first, and the chances are no longer equal.

        Args:
            images: [N, C, H, W] in [0, 1].
            targets: [N].
            logits: [N, K].
            site: whose samples they are.
            generator: of the draws, on the processor.
        """
        new_samples = to_stored_samples(images, targets, logits, self._site_position(site))
        stream_positions = self.offered_count + torch.arange(len(new_samples))  # each sample's place in the stream
        random_slots = (
            torch.rand(len(new_samples), generator=generator, dtype=torch.float64) * (stream_positions + 1)
        ).long()
        free_slots = len(self) + torch.arange(len(new_samples))
        slots = torch.where(free_slots < self.capacity, free_slots, random_slots).tolist()
        # Slot -> row of the buffer with the new samples behind it; of two samples in one slot, the later one stays.
        row_of_slot = {slot: slot for slot in range(len(self))}
        row_of_slot |= {slot: len(self) + row for row, slot in enumerate(slots) if slot < self.capacity}
        self.samples = concatenate_samples(self.samples, new_samples)[torch.tensor(list(row_of_slot.values()))]
        self.offered[site] += len(new_samples)

    def balance(
        self, targets: Tensor, read_images: Callable[[Tensor], Tensor], site: str, generator: torch.Generator
    ) -> None:
        """Adds samples and keeps a random subset with equally many of each class, as far as there are enough.

        Args:
            targets: [N].
            read_images: some of the N positions -> their images, uint8; only images that are kept are read.
            site: whose samples they are.
            generator: of the draws, on the processor.
        """
        stored_count, site_position = len(self), self._site_position(site)
        all_targets = targets if self.samples is None else torch.cat([self.samples.targets, targets])
        chosen = _choose_balanced(all_targets.cpu(), self.capacity, generator)
        is_new = chosen >= stored_count
        rows = chosen[is_new] - stored_count
        images, new_targets = read_images(rows), targets[rows.to(targets.device)]
        new_samples = StoredSamples(
            images,
            new_targets,
            images.new_zeros(len(images), 0, dtype=torch.float32),
            torch.zeros_like(new_targets),
            torch.full_like(new_targets, site_position),
        )
        chosen[is_new] = stored_count + torch.arange(len(rows))
        self.samples = concatenate_samples(self.samples, new_samples)[chosen]
        self.offered[site] += len(targets)

    def _site_position(self, site: str) -> int:
        self.offered.setdefault(site, 0)
        return list(self.offered).index(site)

    def forget_site(self, site: str, kept_columns: Sequence[int]) -> None:
        """Removes the samples of ``site``; the columns of the others become positions in ``kept_columns``, sorted."""
        self.remove_site(site)
        if self.samples is None:
            return
        column_tensor = torch.tensor(kept_columns, device=self.samples.targets.device)
        logits, counts = self.samples.logits, self.samples.class_counts
        self.samples = replace(
            self.samples,
            targets=torch.searchsorted(column_tensor, self.samples.targets),
            logits=logits[:, column_tensor[column_tensor < logits.shape[1]]],
            class_counts=torch.searchsorted(column_tensor, counts),
        )

    def draw(self, count: int, generator: torch.Generator) -> StoredSamples:
        """Returns up to ``count`` different samples, images as float32 in [0, 1]; the buffer must not be empty."""
        return self.read(torch.randperm(len(self), generator=generator)[:count])

    def read(self, rows: Tensor) -> StoredSamples:
        """Returns the samples of ``rows``, images as float32 in [0, 1]; the buffer must not be empty."""
        assert self.samples is not None
        samples = self.samples[rows]
        return replace(samples, images=samples.images.float() / 255)

    def to(self, device: torch.device) -> None:
        """Moves the stored samples."""
        if self.samples is not None:
            self.samples = StoredSamples(*(value.to(device) for value in _tensors_by_name(self.samples).values()))

    def state_dict(self) -> StateDict:
        """Returns the samples of each site with their slots, and the number of offered ones, by ``part/name``."""
        state: StateDict = {}
        for position, (site, offered) in enumerate(self.offered.items()):
            entries = {"offered": torch.tensor(offered), "position": torch.tensor(position)}
            if self.samples is not None:
                slots = (self.samples.sites == position).nonzero()[:, 0]
                entries |= {"slots": slots, **_tensors_by_name(self.samples[slots])}
                del entries["sites"]
            state |= site_entries(PART, site, entries)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores what ``state_dict`` returned; a state without the part empties the buffer."""
        by_site = tensors_by_site(state, PART)
        sites = sorted(by_site, key=lambda site: int(by_site[site]["position"]))
        self.offered = {site: int(by_site[site]["offered"]) for site in sites}
        self.samples = None
        slots = []
        for position, site in enumerate(sites):
            tensors = {name: value.to(device) for name, value in by_site[site].items()}
            if "slots" in tensors:
                tensors["sites"] = torch.full_like(tensors["targets"], position)
                samples = StoredSamples(*(tensors[name] for name in _TENSOR_NAMES))
                self.samples = concatenate_samples(self.samples, samples)
                slots.append(tensors["slots"])
        if self.samples is not None:
            self.samples = self.samples[torch.cat(slots).argsort()]


def to_stored_samples(images: Tensor, targets: Tensor, logits: Tensor, site_position: int) -> StoredSamples:
    """Returns samples as a buffer stores them: images in eight bit, logits in float32."""
    class_counts, sites = torch.full_like(targets, logits.shape[1]), torch.full_like(targets, site_position)
    return StoredSamples(to_uint8(images), targets, logits.detach().float(), class_counts, sites)


def read_training_images(data: Data, rows: Tensor) -> Tensor:
    """Returns some images of the training split as a buffer would store them: [len(rows), C, H, W] uint8.

    Args:
        data: of the update.
        rows: positions in the split, in any order.
    """
    start, places, images = 0, [], []
    for batch in data(Split.TRAIN):
        end = start + len(batch.images)
        places.append(((rows >= start) & (rows < end)).nonzero()[:, 0])
        images.append(to_uint8(batch.images[(rows[places[-1]] - start).to(batch.images.device)]))
        start = end
    return torch.cat(images)[torch.cat(places).argsort().to(images[0].device)]


def _choose_balanced(targets: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Returns up to ``count`` random positions with equally many of each class, as far as there are enough."""
    permutation = torch.randperm(len(targets), generator=generator)
    classes = targets[permutation]
    is_class = classes[:, None] == torch.arange(int(classes.max()) + 1)
    rank_in_class = (is_class.cumsum(0) * is_class).sum(1)  # the first of each class, then the second of each
    return permutation[rank_in_class.argsort(stable=True)[:count]]


def to_uint8(images: Tensor) -> Tensor:
    """Returns images in [0, 1] as uint8; images that were eight bit and not resized come back exactly."""
    return (images * 255).round().clamp(0, 255).byte().contiguous()


def concatenate_samples(first: StoredSamples | None, second: StoredSamples) -> StoredSamples:
    """Returns both, one after the other; logits of fewer columns are padded with zeros."""
    if first is None:
        return second
    class_count = max(first.logits.shape[1], second.logits.shape[1])
    padded = (replace(samples, logits=_pad_logits(samples.logits, class_count)) for samples in (first, second))
    return StoredSamples(*map(torch.cat, zip(*(_tensors_by_name(samples).values() for samples in padded), strict=True)))


def _pad_logits(logits: Tensor, class_count: int) -> Tensor:
    return torch.nn.functional.pad(logits, (0, class_count - logits.shape[1]))


def _tensors_by_name(samples: StoredSamples) -> dict[str, Tensor]:
    fields = (samples.images, samples.targets, samples.logits, samples.class_counts, samples.sites)
    return dict(zip(_TENSOR_NAMES, fields, strict=True))
