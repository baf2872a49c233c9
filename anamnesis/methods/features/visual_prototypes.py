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

from anamnesis.methods.base import Data, StateDict, TaskContext, TrainingStep, part_tensors
from anamnesis.methods.features.latent_prototypes import LatentPrototypes, class_means
from anamnesis.methods.features.saliency_maps import SaliencyTarget, activation_maps, head_weights
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.loss_term import LossTerm
from anamnesis.networks import AutoEncoder, Classifier, evaluation_mode


class PrototypeKind(StrEnum):
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
class VisualPrototypeSettings:
    """How visual prototypes are made and kept.

    Attributes:
        kind: what they are.
        prototype_map: how they say where to look.
        saliency_target: which score saliency maps explain.
        warm_up_share: share of the training after which they are fixed.
        minimum_images: a class with fewer images at a site has none of that site.
        replay_count: how many go through the network with each batch of a later task.
        is_stored: whether they outlive the task.
    """

    kind: PrototypeKind
    prototype_map: PrototypeMap
    saliency_target: SaliencyTarget
    warm_up_share: float
    minimum_images: int
    replay_count: int
    is_stored: bool


class PrototypeSharing(StrEnum):
    """Who keeps visual prototypes."""

    PRIVATE = "private"
    """Nobody: they serve the update that makes them."""
    SHARED = "shared"
    """The version, and so whoever reads the registry."""


class VisualPrototypes(LossTerm):
    """The images V_c and the maps S*_c on them; no loss of its own.

    Attributes:
        images: [K, C, H, W], of earlier tasks; zeros where a class has none.
        counts: [K] images each was made from; 0 where a class has none.
        maps: [K, h, w] where the network looked on them at the end of their task, before the ReLU.
        target_maps: [K, h, w] where the task at hand should look; empty before the warm-up is over.
    """

    name = "visual_prototypes"
    images: Tensor
    counts: Tensor
    maps: Tensor
    target_maps: Tensor
    fresh_images: Tensor
    fresh_counts: Tensor

    def __init__(
        self, settings: VisualPrototypeSettings, task_groups: TaskGroups, latent_prototypes: LatentPrototypes | None
    ) -> None:
        super().__init__(1.0)
        self.settings, self.task_groups, self.latent_prototypes = settings, task_groups, latent_prototypes
        self.load_state_dict({}, torch.device("cpu"))

    @property
    def is_fixed(self) -> bool:
        """Whether those of the task at hand are."""
        return bool(self.target_maps.numel())

    def should_fix(self, step: TrainingStep) -> bool:
        """Tells whether it is time to fix them."""
        return not self.is_fixed and step.progress >= self.settings.warm_up_share

    def fix_prototypes(self, network: AutoEncoder, context: TaskContext, data: Data) -> None:
        """Makes the prototypes of the task at hand, in one pass without gradients, and says where they look."""
        class_indices, device = list(context.class_indices), network.head.weight.device
        images, counts = self._make_prototypes(network, context.class_indices, data)
        counts = counts * (counts >= self.settings.minimum_images)
        self.fresh_images, self.fresh_counts = (
            _append_zero_rows(tensor, len(context.labels)).to(device)
            for tensor in self._stored_images_and_counts(images)
        )
        earlier_counts, total_counts = self.fresh_counts[class_indices], self.fresh_counts[class_indices] + counts
        weighted_sums = (
            _expand_like(earlier_counts, images) * self.fresh_images[class_indices]
            + _expand_like(counts, images) * images
        )
        self.fresh_images[class_indices] = weighted_sums / _expand_like(total_counts.clamp_min(1), images)
        self.fresh_counts[class_indices] = total_counts
        self.target_maps = self._compute_target_maps(network, class_indices)

    def _stored_images_and_counts(self, reference: Tensor) -> tuple[Tensor, Tensor]:
        return (self.images if len(self.images) else reference.new_zeros(0, *reference.shape[1:])), self.counts

    @torch.no_grad()
    def _make_prototypes(
        self, network: AutoEncoder, class_indices: tuple[int, ...], data: Data
    ) -> tuple[Tensor, Tensor]:
        """Returns the prototypes [k, C, H, W] of this site alone, and from how many images [k]."""
        settings = self.settings
        if settings.kind is PrototypeKind.INPUTS:
            return class_means(network, data, class_indices, lambda images: images)
        if settings.kind is not PrototypeKind.DECODED:
            return class_means(network, data, class_indices, lambda images: network.decode(network.features(images)))
        codes, counts = class_means(network, data, class_indices, network.features)
        with evaluation_mode(network):
            return network.decode(codes if self.latent_prototypes is None else self.latent_prototypes.values), counts

    @torch.no_grad()
    def _compute_target_maps(self, network: AutoEncoder, class_indices: list[int]) -> Tensor:
        """Returns the map [K, h, w] of each prototype, zero where there is none."""
        saliency_maps = self._prototype_saliency(network, class_indices)
        has_prototype = _expand_like(self.fresh_counts > 0, saliency_maps)
        if self.settings.prototype_map is PrototypeMap.SALIENCY:
            return saliency_maps * has_prototype
        grey = self.fresh_images.mean(1)
        if self.settings.prototype_map is PrototypeMap.DISTINCTIVE:
            task_means = self.task_groups.task_means(
                torch.cat([grey.flatten(1), has_prototype.flatten(1)[:, :1].to(grey)], dim=1)
            )
            grey = (grey - (task_means[:, :-1] / task_means[:, -1:].clamp_min(1e-9)).view_as(grey)).abs()
        return functional.adaptive_avg_pool2d(grey, (saliency_maps.shape[1], saliency_maps.shape[2])) * has_prototype

    @torch.no_grad()
    def _prototype_saliency(self, network: AutoEncoder, class_indices: list[int]) -> Tensor:
        """Returns where the network looks on the prototypes of ``class_indices``, [K, h, w]; zero for all others."""
        weights = head_weights(network.head.weight, self.task_groups, self.settings.saliency_target)
        with evaluation_mode(network):
            task_maps = activation_maps(network.features(self.fresh_images[class_indices]), weights[class_indices])
        saliency_maps = task_maps.new_zeros(len(self.fresh_images), *task_maps.shape[1:])
        saliency_maps[class_indices] = task_maps
        return saliency_maps

    def select_replayed(self, step: TrainingStep) -> Tensor:
        """Returns which stored prototypes [m] go through the network at this step: the next ones, in turn.

        Always the same number, some of them twice where there are fewer: a step costs the same after any number of
        tasks.
        """
        stored_classes = self.counts.nonzero()[:, 0]
        offsets = torch.arange(self.settings.replay_count if len(stored_classes) else 0, device=stored_classes.device)
        return stored_classes[(step.step_index * self.settings.replay_count + offsets) % max(len(stored_classes), 1)]

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Keeps the prototypes of this task beside the others', and where the network looks on them now."""
        assert isinstance(network, AutoEncoder)
        if not self.is_fixed:
            self.fix_prototypes(network, context, data)
        if self.settings.is_stored:
            class_indices = list(context.class_indices)
            grown_maps = _append_zero_rows(self.maps if len(self.maps) else self.target_maps[:0], len(context.labels))
            grown_maps[class_indices] = self._prototype_saliency(network, class_indices)[class_indices]
            self.images, self.counts, self.maps = self.fresh_images, self.fresh_counts, grown_maps
        self.clear_task_state()

    def clear_task_state(self) -> None:
        """Lets go of what only the task at hand needs."""
        self.fresh_images, self.fresh_counts, self.target_maps = torch.zeros(0), torch.zeros(0), torch.zeros(0)

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Nothing is fixed yet."""
        self.clear_task_state()
        for name in _STORED_NAMES:
            setattr(self, name, getattr(self, name).to(network.head.weight.device))

    def state_dict(self) -> StateDict:
        """What is kept, and while a task is learned what was fixed."""
        values = {name: getattr(self, name) for name in (*_STORED_NAMES, *_TASK_NAMES)}
        return {f"{self.name}/{name}": value for name, value in values.items() if value.numel()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Takes it back."""
        tensors = part_tensors(state, self.name)
        for name in (*_STORED_NAMES, *_TASK_NAMES):
            setattr(self, name, tensors.get(name, torch.zeros(0)).to(device))


_STORED_NAMES = ("images", "counts", "maps")
_TASK_NAMES = ("fresh_images", "fresh_counts", "target_maps")


def _expand_like(values: Tensor, reference: Tensor) -> Tensor:
    """Returns values [K] shaped to multiply ``reference`` [K, ...]."""
    return values.view(-1, *[1] * (reference.dim() - 1))


def _append_zero_rows(values: Tensor, row_count: int) -> Tensor:
    """Returns values with rows of zeros appended, as a new tensor."""
    return torch.cat([values, values.new_zeros(row_count - len(values), *values.shape[1:])])
