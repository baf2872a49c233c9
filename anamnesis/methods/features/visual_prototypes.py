"""Visual prototypes: one image for each class, which stands for it once its images are gone.

They are fixed when the warm-up is over and are static from then on: later tasks leave them as they are, bit for bit. A
class that is met again keeps its prototype and refines it: the new one is the mean of both, weighted by how many images
each was made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from anamnesis.methods.base import Data, State, Step, TaskContext, part_of
from anamnesis.methods.features.latent_prototypes import LatentPrototypes, class_means
from anamnesis.methods.features.saliency_maps import Evidence, activation_maps, head_weights
from anamnesis.methods.features.task_groups import Groups
from anamnesis.methods.loss_term import Term
from anamnesis.networks import AutoEncoder, Classifier, evaluating


class Reading(StrEnum):
    """What "batch-trained prototype" means; the abstract leaves it open."""

    DECODED = "decoded"
    """P1: the decoded latent prototype, which batches trained; without latent prototypes, the decoded mean code."""
    OUTPUTS = "outputs"
    """P2: the mean of the decoder's outputs for images of the class."""
    INPUTS = "inputs"
    """P2: the mean of the images themselves."""
    TARGET = "target"
    """P3: the same mean as ``outputs``, of a decoder that was trained to give the class mean of the batch."""


class PrototypeMap(StrEnum):
    """How an image of intensities says where to look."""

    INTENSITY = "intensity"
    """Bright means salient."""
    DISTINCTIVE = "distinctive"
    """Where the prototype differs from the mean of its task's prototypes; empty for a task of one class."""
    SALIENCY = "saliency"
    """Where the network looked on the prototype when it was fixed."""


@dataclass(frozen=True, slots=True)
class VisualSettings:
    """How visual prototypes are made and kept.

    Attributes:
        reading: what they are.
        map: how they say where to look.
        evidence: which score saliency maps explain.
        warm_up: share of the training after which they are fixed.
        minimum: a class with fewer images at a site has none of that site.
        replayed: how many go through the network with each batch of a later task.
        kept: whether they outlive the task.
    """

    reading: Reading
    map: PrototypeMap
    evidence: Evidence
    warm_up: float
    minimum: int
    replayed: int
    kept: bool


class Sharing(StrEnum):
    """Who keeps visual prototypes."""

    PRIVATE = "private"
    """Nobody: they serve the update that makes them."""
    SHARED = "shared"
    """The version, and so whoever reads the registry."""


class VisualPrototypes(Term):
    """The images V_c and the maps S*_c on them; no loss of its own.

    Attributes:
        images: [K, C, H, W], of earlier tasks; zeros where a class has none.
        counts: [K] images each was made from; 0 where a class has none.
        maps: [K, h, w] where the network looked on them at the end of their task, before the ReLU.
        wanted: [K, h, w] where the task at hand should look; empty before the warm-up is over.
    """

    name = "visual_prototypes"
    images: Tensor
    counts: Tensor
    maps: Tensor
    wanted: Tensor
    fresh_images: Tensor
    fresh_counts: Tensor

    def __init__(self, settings: VisualSettings, groups: Groups, latent: LatentPrototypes | None) -> None:
        super().__init__(1.0)
        self.settings, self.groups, self.latent = settings, groups, latent
        self.load_state_dict({}, torch.device("cpu"))

    @property
    def fixed(self) -> bool:
        """Whether those of the task at hand are."""
        return bool(self.wanted.numel())

    def due(self, step: Step) -> bool:
        """Tells whether it is time to fix them."""
        return not self.fixed and step.progress >= self.settings.warm_up

    def fix(self, network: AutoEncoder, context: TaskContext, data: Data) -> None:
        """Makes the prototypes of the task at hand, in one pass without gradients, and says where they look."""
        columns, device = list(context.columns), network.head.weight.device
        images, counts = self._made(network, context.columns, data)
        counts = counts * (counts >= self.settings.minimum)
        self.fresh_images, self.fresh_counts = (_grown(v, len(context.labels)).to(device) for v in self._stored(images))
        before, total = self.fresh_counts[columns], self.fresh_counts[columns] + counts
        refined = _columnwise(before, images) * self.fresh_images[columns] + _columnwise(counts, images) * images
        self.fresh_images[columns] = refined / _columnwise(total.clamp_min(1), images)
        self.fresh_counts[columns] = total
        self.wanted = self._maps_to_match(network, columns)

    def _stored(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return (self.images if len(self.images) else like.new_zeros(0, *like.shape[1:])), self.counts

    @torch.no_grad()
    def _made(self, network: AutoEncoder, columns: tuple[int, ...], data: Data) -> tuple[Tensor, Tensor]:
        """Returns the prototypes [k, C, H, W] of this site alone, and from how many images [k]."""
        settings = self.settings
        if settings.reading is Reading.INPUTS:
            return class_means(network, data, columns, lambda images: images)
        if settings.reading is not Reading.DECODED:
            return class_means(network, data, columns, lambda images: network.decode(network.features(images)))
        codes, counts = class_means(network, data, columns, network.features)
        with evaluating(network):
            return network.decode(codes if self.latent is None else self.latent.values), counts

    @torch.no_grad()
    def _maps_to_match(self, network: AutoEncoder, columns: list[int]) -> Tensor:
        """Returns the map [K, h, w] of each prototype, zero where there is none."""
        looked = self._looked(network, columns)
        has = _columnwise(self.fresh_counts > 0, looked)
        if self.settings.map is PrototypeMap.SALIENCY:
            return looked * has
        grey = self.fresh_images.mean(1)
        if self.settings.map is PrototypeMap.DISTINCTIVE:
            own = self.groups.mean_over(torch.cat([grey.flatten(1), has.flatten(1)[:, :1].to(grey)], dim=1))
            grey = (grey - (own[:, :-1] / own[:, -1:].clamp_min(1e-9)).view_as(grey)).abs()
        return functional.adaptive_avg_pool2d(grey, (looked.shape[1], looked.shape[2])) * has

    @torch.no_grad()
    def _looked(self, network: AutoEncoder, columns: list[int]) -> Tensor:
        """Returns where the network looks on the prototypes of ``columns``, [K, h, w]; zero for all others."""
        weights = head_weights(network.head.weight, self.groups, self.settings.evidence)
        with evaluating(network):
            found = activation_maps(network.features(self.fresh_images[columns]), weights[columns])
        looked = found.new_zeros(len(self.fresh_images), *found.shape[1:])
        looked[columns] = found
        return looked

    def replayed(self, step: Step) -> Tensor:
        """Returns which stored prototypes [m] go through the network at this step: the next ones, in turn.

        Always the same number, some of them twice where there are fewer: a step costs the same after any number of
        tasks.
        """
        known = self.counts.nonzero()[:, 0]
        turn = torch.arange(self.settings.replayed if len(known) else 0, device=known.device)
        return known[(step.number * self.settings.replayed + turn) % max(len(known), 1)]

    def end(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Keeps the prototypes of this task beside the others', and where the network looks on them now."""
        assert isinstance(network, AutoEncoder)
        if not self.fixed:
            self.fix(network, context, data)
        if self.settings.kept:
            columns = list(context.columns)
            grown = _grown(self.maps if len(self.maps) else self.wanted[:0], len(context.labels))
            grown[columns] = self._looked(network, columns)[columns]
            self.images, self.counts, self.maps = self.fresh_images, self.fresh_counts, grown
        self.forget_task()

    def forget_task(self) -> None:
        """Lets go of what only the task at hand needs."""
        self.fresh_images, self.fresh_counts, self.wanted = torch.zeros(0), torch.zeros(0), torch.zeros(0)

    def begin(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Nothing is fixed yet."""
        self.forget_task()
        for name in _KEPT:
            setattr(self, name, getattr(self, name).to(network.head.weight.device))

    def state_dict(self) -> State:
        """What is kept, and while a task is learned what was fixed."""
        values = {name: getattr(self, name) for name in (*_KEPT, *_FRESH)}
        return {f"{self.name}/{name}": value for name, value in values.items() if value.numel()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes it back."""
        found = part_of(state, self.name)
        for name in (*_KEPT, *_FRESH):
            setattr(self, name, found.get(name, torch.zeros(0)).to(device))


_KEPT = ("images", "counts", "maps")
_FRESH = ("fresh_images", "fresh_counts", "wanted")


def _columnwise(values: Tensor, like: Tensor) -> Tensor:
    """Returns values [K] shaped to multiply ``like`` [K, ...]."""
    return values.view(-1, *[1] * (like.dim() - 1))


def _grown(values: Tensor, rows: int) -> Tensor:
    """Returns values with rows of zeros appended, as a new tensor."""
    return torch.cat([values, values.new_zeros(rows - len(values), *values.shape[1:])])
