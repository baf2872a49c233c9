"""Visual prototypes: one image for each class, which represents the class when its images are gone.

They are fixed at the end of the warm-up and do not change afterwards: later tasks leave them equal, bit for bit. A
class that another site teaches too keeps its prototype and refines it: the new one is the mean of both, weighted by the
number of images behind each.
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
from anamnesis.methods.method_component import MethodComponent
from anamnesis.methods.option_checks import check_bounds, not_negative, share
from anamnesis.networks import AutoEncoder, Classifier, evaluation_mode


class PrototypeKind(StrEnum):
    """Meanings of "batch-trained prototype"; the abstract leaves it open."""

    DECODED = "decoded"
    """P1: the decoded latent prototype, which batches trained; without latent prototypes, the decoded mean code."""
    OUTPUTS = "outputs"
    """P2: the mean of the decoder's outputs for images of the class."""
    INPUTS = "inputs"
    """P2: the mean of the images themselves."""
    TARGET = "target"
    """P3: the same mean as ``outputs``, of a decoder that was trained to give the class mean of the batch."""


class PrototypeMap(StrEnum):
    """How an image of intensities becomes a map of places."""

    INTENSITY = "intensity"
    """Bright means salient."""
    DISTINCTIVE = "distinctive"
    """Where the prototype differs from the mean of its task's prototypes; empty for a task of one class."""
    SALIENCY = "saliency"
    """The saliency on the prototype when it was fixed."""


class PrototypeSharing(StrEnum):
    """Who keeps visual prototypes."""

    PRIVATE = "private"
    """Nobody: only the update that makes them uses them."""
    SHARED = "shared"
    """The version: every reader of the registry can see them."""


@dataclass(frozen=True, slots=True)
class VisualPrototypeOptions:
    """How visual prototypes are made and stored.

    Attributes:
        sharing: ``private``, or ``shared``: visual prototypes are stored in the version, for later tasks. Every reader
            of the registry can see them, so a site has to choose it.
        minimum_images: a class with fewer images at a site gets no visual prototype from that site.
        kind: what a visual prototype is: ``decoded`` (P1), ``outputs`` or ``inputs`` (P2), ``target`` (P3).
        map: how a prototype points to a place in an image, by ``intensity``, ``distinctive`` or ``saliency``.
        warm_up: share of the training before visual prototypes are fixed and saliency counts.
    """

    sharing: PrototypeSharing = PrototypeSharing.PRIVATE
    minimum_images: int = not_negative(50)
    kind: PrototypeKind = PrototypeKind.DECODED
    map: PrototypeMap = PrototypeMap.DISTINCTIVE
    warm_up: float = share(0.25)

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.visual_prototypes", self)


class VisualPrototypes(MethodComponent):
    """The images V_c and the maps S*_c on them.

    Attributes:
        images: [K, C, H, W], of earlier tasks; zeros where a class has none.
        counts: [K] number of images behind each; 0 where a class has none.
        maps: [K, h, w] saliency on them at the end of their task, before the ReLU.
        target_maps: [K, h, w] target of the current task's saliency; empty during the warm-up.
    """

    name = "visual_prototypes"
    images: Tensor
    counts: Tensor
    maps: Tensor
    target_maps: Tensor
    fresh_images: Tensor
    fresh_counts: Tensor

    def __init__(
        self,
        options: VisualPrototypeOptions,
        task_groups: TaskGroups,
        latent_prototypes: LatentPrototypes | None,
        *,
        saliency_target: SaliencyTarget,
        replay_count: int,
        is_stored: bool,
    ) -> None:
        """Makes an empty set of prototypes.

        Args:
            options: how they are made.
            task_groups: the task of each class.
            latent_prototypes: of the current task, where there are any.
            saliency_target: which score saliency maps explain.
            replay_count: how many go through the network with each batch of a later task.
            is_stored: whether they outlive the task.
        """
        self.options, self.task_groups, self.latent_prototypes = options, task_groups, latent_prototypes
        self.saliency_target, self.replay_count, self.is_stored = saliency_target, replay_count, is_stored
        self.load_state_dict({}, torch.device("cpu"))

    @property
    def is_fixed(self) -> bool:
        """Whether those of the current task are fixed."""
        return bool(self.target_maps.numel())

    def should_fix(self, step: TrainingStep) -> bool:
        """Returns whether the warm-up is over and they are not fixed yet."""
        return not self.is_fixed and step.progress >= self.options.warm_up

    def fix_prototypes(self, network: AutoEncoder, context: TaskContext, data: Data) -> None:
        """Makes the prototypes of the current task and their target maps, in one pass without gradients."""
        class_indices, device = list(context.class_indices), network.head.weight.device
        images, counts = self._make_prototypes(network, context.class_indices, data)
        counts = counts * (counts >= self.options.minimum_images)
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
        """Returns the prototypes [k, C, H, W] of this site alone, and the number of images behind each [k]."""
        if self.options.kind is PrototypeKind.INPUTS:
            return class_means(network, data, class_indices, lambda images: images)
        if self.options.kind is not PrototypeKind.DECODED:
            return class_means(network, data, class_indices, lambda images: network.decode(network.features(images)))
        codes, counts = class_means(network, data, class_indices, network.features)
        with evaluation_mode(network):
            return network.decode(codes if self.latent_prototypes is None else self.latent_prototypes.values), counts

    @torch.no_grad()
    def _compute_target_maps(self, network: AutoEncoder, class_indices: list[int]) -> Tensor:
        """Returns the map [K, h, w] of each prototype, zero where there is none."""
        saliency_maps = self._prototype_saliency(network, class_indices)
        has_prototype = _expand_like(self.fresh_counts > 0, saliency_maps)
        if self.options.map is PrototypeMap.SALIENCY:
            return saliency_maps * has_prototype
        grey = self.fresh_images.mean(1)
        if self.options.map is PrototypeMap.DISTINCTIVE:
            task_means = self.task_groups.task_means(
                torch.cat([grey.flatten(1), has_prototype.flatten(1)[:, :1].to(grey)], dim=1)
            )
            grey = (grey - (task_means[:, :-1] / task_means[:, -1:].clamp_min(1e-9)).view_as(grey)).abs()
        return functional.adaptive_avg_pool2d(grey, (saliency_maps.shape[1], saliency_maps.shape[2])) * has_prototype

    @torch.no_grad()
    def _prototype_saliency(self, network: AutoEncoder, class_indices: list[int]) -> Tensor:
        """Returns the saliency on the prototypes of ``class_indices``, [K, h, w]; zero for all others."""
        weights = self.map_weights(network.head.weight)
        with evaluation_mode(network):
            task_maps = activation_maps(network.features(self.fresh_images[class_indices]), weights[class_indices])
        saliency_maps = task_maps.new_zeros(len(self.fresh_images), *task_maps.shape[1:])
        saliency_maps[class_indices] = task_maps
        return saliency_maps

    def map_weights(self, head_weight: Tensor) -> Tensor:
        """Returns the weights [K, F] of the saliency maps, of the head's weight [K, F]."""
        return head_weights(head_weight, self.task_groups, self.saliency_target)

    def select_replayed(self, step: TrainingStep) -> Tensor:
        """Returns the classes [m] of the stored prototypes that go through the network at this step, in turn.

        The number is always the same, with repetitions where fewer are stored: a step costs the same after any number
        of tasks.
        """
        stored_classes = self.counts.nonzero()[:, 0]
        offsets = torch.arange(self.replay_count if len(stored_classes) else 0, device=stored_classes.device)
        return stored_classes[(step.step_index * self.replay_count + offsets) % max(len(stored_classes), 1)]

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Stores the prototypes of this task beside the earlier ones, with the current saliency on them."""
        assert isinstance(network, AutoEncoder)
        if not self.is_fixed:
            self.fix_prototypes(network, context, data)
        if self.is_stored:
            class_indices = list(context.class_indices)
            grown_maps = _append_zero_rows(self.maps if len(self.maps) else self.target_maps[:0], len(context.labels))
            grown_maps[class_indices] = self._prototype_saliency(network, class_indices)[class_indices]
            self.images, self.counts, self.maps = self.fresh_images, self.fresh_counts, grown_maps
        self.clear_task_state()

    def clear_task_state(self) -> None:
        """Drops what only the current task needs."""
        self.fresh_images, self.fresh_counts, self.target_maps = torch.zeros(0), torch.zeros(0), torch.zeros(0)

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Starts without fixed prototypes."""
        self.clear_task_state()
        for name in _STORED_NAMES:
            setattr(self, name, getattr(self, name).to(network.head.weight.device))

    def state_dict(self) -> StateDict:
        """Returns the stored prototypes and, during a task, the fixed ones."""
        values = {name: getattr(self, name) for name in (*_STORED_NAMES, *_TASK_NAMES)}
        return {f"{self.name}/{name}": value for name, value in values.items() if value.numel()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores them."""
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
