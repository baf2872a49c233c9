"""Visual prototypes: one image for each class of a site, which represents the class when its images are gone.

They are fixed at the end of the warm-up. Updates of other sites leave them equal, bit for bit; an update of their own
site replaces them. Where several sites teach a class, the saliency of new images is aligned with the mean of their
prototypes, weighted by the number of images behind each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Data, StateDict, TaskContext, part_tensors
from anamnesis.methods.features.latent_prototypes import LatentPrototypes, class_means
from anamnesis.methods.features.saliency_maps import SaliencyTarget, activation_maps, head_weights
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.method_component import MethodComponent
from anamnesis.methods.site_state import site_entries, tensors_by_site
from anamnesis.methods.stage import TrainingStep
from anamnesis.networks import AutoEncoder, Classifier, evaluation_mode
from anamnesis.networks.random_features import average_over_cells
from anamnesis.records.option_checks import check_bounds, not_negative, share


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


@dataclass(frozen=True, slots=True)
class StoredPrototypes:
    """Stored prototypes, of one site or of several.

    Attributes:
        columns: [m] their classes, as columns of the logits.
        images: [m, C, ...].
        counts: [m] number of images behind each.
        maps: [m, ...] saliency on them at the end of their task, before the ReLU.
    """

    columns: Tensor
    images: Tensor
    counts: Tensor
    maps: Tensor

    def __len__(self) -> int:
        return len(self.columns)

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors by name."""
        return {"columns": self.columns, "images": self.images, "counts": self.counts, "maps": self.maps}


NO_PROTOTYPES = StoredPrototypes(torch.zeros(0, dtype=torch.long), *(torch.zeros(0) for _ in range(3)))


class VisualPrototypes(MethodComponent):
    """The images V_c and the maps S*_c on them.

    State: ``visual_prototypes.<site>``, those of each site; ``visual_prototypes`` during a task.

    Attributes:
        by_site: the stored prototypes of each site.
        replayed: during a task, those of all other sites; the site's own past is not repeated.
        target_maps: [K, ...] target of the current task's saliency; empty during the warm-up.
        fresh_images: [k, C, ...] the fixed prototypes of the current task.
        fresh_counts: [k] number of images behind each; 0 where a class has too few.
    """

    name = "visual_prototypes"
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
        self.replayed = NO_PROTOTYPES
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

        def make_prototypes() -> dict[str, Tensor]:
            images, counts = self._make_prototypes(network, context.class_indices, data)
            return {"images": images, "counts": counts}

        prototypes = context.checkpointed("visual_prototypes", make_prototypes)
        self.fresh_images, counts = prototypes["images"], prototypes["counts"]
        self.fresh_counts = counts * (counts >= self.options.minimum_images)
        self.target_maps = self._compute_target_maps(network, context)

    def mean_prototypes(self, context: TaskContext) -> tuple[Tensor, Tensor]:
        """Returns the mean prototype [K, C, ...] of each class over all sites, and the number of images [K]."""
        columns = torch.tensor(context.class_indices, device=self.fresh_images.device)
        images, counts = self.fresh_images, self.fresh_counts
        if len(self.replayed):
            columns, images, counts = (
                torch.cat(pair)
                for pair in (
                    (self.replayed.columns, columns),
                    (self.replayed.images, images),
                    (self.replayed.counts, counts),
                )
            )
        sums = images.new_zeros(len(context.labels), *images.shape[1:])
        totals = counts.new_zeros(len(context.labels))
        sums.index_add_(0, columns, images * _expand_like(counts, images))
        totals.index_add_(0, columns, counts)
        return sums / _expand_like(totals.clamp_min(1), sums), totals

    @torch.no_grad()
    def _make_prototypes(
        self, network: AutoEncoder, class_indices: tuple[int, ...], data: Data
    ) -> tuple[Tensor, Tensor]:
        """Returns the prototypes [k, C, ...] of this site alone, and the number of images behind each [k]."""
        if self.options.kind is PrototypeKind.INPUTS:
            return class_means(network, data, class_indices, lambda images: images)
        if self.options.kind is not PrototypeKind.DECODED:
            return class_means(network, data, class_indices, lambda images: network.decode(network.features(images)))
        codes, counts = class_means(network, data, class_indices, network.features)
        with evaluation_mode(network):
            return network.decode(codes if self.latent_prototypes is None else self.latent_prototypes.values), counts

    @torch.no_grad()
    def _compute_target_maps(self, network: AutoEncoder, context: TaskContext) -> Tensor:
        """Returns the map [K, ...] of the mean prototype of each class, zero where there is none."""
        images, counts = self.mean_prototypes(context)
        saliency_maps = self._prototype_saliency(network, images, torch.arange(len(images), device=images.device))
        has_prototype = _expand_like(counts > 0, saliency_maps)
        if self.options.map is PrototypeMap.SALIENCY:
            return saliency_maps * has_prototype
        grey = images.mean(1)
        if self.options.map is PrototypeMap.DISTINCTIVE:
            task_means = self.task_groups.task_means(
                torch.cat([grey.flatten(1), has_prototype.flatten(1)[:, :1].to(grey)], dim=1)
            )
            grey = (grey - (task_means[:, :-1] / task_means[:, -1:].clamp_min(1e-9)).view_as(grey)).abs()
        return average_over_cells(grey[:, None], tuple(saliency_maps.shape[1:]))[:, 0] * has_prototype

    @torch.no_grad()
    def _prototype_saliency(self, network: AutoEncoder, images: Tensor, columns: Tensor) -> Tensor:
        """Returns the saliency [m, ...] on prototypes [m, C, ...] for their classes ``columns`` [m]."""
        weights = self.map_weights(network.head.weight)
        with evaluation_mode(network):
            return activation_maps(network.features(images), weights[columns])

    def map_weights(self, head_weight: Tensor) -> Tensor:
        """Returns the weights [K, F] of the saliency maps, of the head's weight [K, F]."""
        return head_weights(head_weight, self.task_groups, self.saliency_target)

    def select_replayed(self, step: TrainingStep) -> Tensor:
        """Returns the rows [m] of ``replayed`` that go through the network at this step, in turn.

        The number is always the same, with repetitions where fewer are stored: a step costs the same after any number
        of tasks.
        """
        row_count = len(self.replayed)
        offsets = torch.arange(self.replay_count if row_count else 0, device=self.replayed.columns.device)
        return (step.step_index * self.replay_count + offsets) % max(row_count, 1)

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the stored prototypes of the site by those of this task, with the current saliency on them."""
        assert isinstance(network, AutoEncoder)
        if not self.is_fixed:
            self.fix_prototypes(network, context, data)
        self.by_site.pop(context.site, None)
        if self.is_stored and self.fresh_counts.any():
            rows = self.fresh_counts.nonzero()[:, 0]
            columns = torch.tensor(context.class_indices, device=rows.device)[rows]
            images = self.fresh_images[rows]
            maps = self._prototype_saliency(network, images, columns)
            self.by_site[context.site] = StoredPrototypes(columns, images, self.fresh_counts[rows], maps)
        self.clear_task_state()

    def forget_site(self, network: Classifier, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the prototypes of ``site``; the columns of the others become positions in ``kept_columns``."""
        self.by_site.pop(site, None)
        for other_site, stored in self.by_site.items():
            column_tensor = torch.tensor(kept_columns, device=stored.columns.device)
            self.by_site[other_site] = replace(stored, columns=torch.searchsorted(column_tensor, stored.columns))

    def clear_task_state(self) -> None:
        """Drops what only the current task needs."""
        self.fresh_images, self.fresh_counts, self.target_maps = torch.zeros(0), torch.zeros(0), torch.zeros(0)

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Starts without fixed prototypes, and with those of the other sites to replay."""
        self.clear_task_state()
        device = network.head.weight.device
        other_sites = [self.by_site[site].tensors() for site in sorted(self.by_site.keys() - {context.site})]
        self.replayed = (
            StoredPrototypes(*(torch.cat([tensors[name] for tensors in other_sites]).to(device) for name in _STORED))
            if other_sites
            else NO_PROTOTYPES
        )

    def state_dict(self) -> StateDict:
        """Returns the stored prototypes of each site and, during a task, the fixed ones."""
        state: StateDict = {
            f"{self.name}/{name}": value for name in _TASK_NAMES if (value := getattr(self, name)).numel()
        }
        for site, stored in self.by_site.items():
            state |= site_entries(self.name, site, stored.tensors())
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores them."""
        self.by_site = {
            site: StoredPrototypes(*(tensors[name].to(device) for name in _STORED))
            for site, tensors in tensors_by_site(state, self.name).items()
        }
        tensors = part_tensors(state, self.name)
        for name in _TASK_NAMES:
            setattr(self, name, tensors.get(name, torch.zeros(0)).to(device))


_STORED = tuple(NO_PROTOTYPES.tensors())
_TASK_NAMES = ("fresh_images", "fresh_counts", "target_maps")


def _expand_like(values: Tensor, reference: Tensor) -> Tensor:
    """Returns values [K] shaped to multiply ``reference`` [K, ...]."""
    return values.view(-1, *[1] * (reference.dim() - 1))
