"""Class prototypes in frozen feature spaces: they predict the task of an image, and its class.

A head that learns task after task prefers the latest one, and most of the apparent forgetting is that preference. The
class means of frozen features do not change and prefer no task: as a classifier they predict the class of an image, and
their sum over the classes of a task predicts the task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import torch
from torch import Tensor

from anamnesis.methods.base import Branch, Data, StateDict, TaskContext
from anamnesis.methods.features.feature_statistics import FeatureStatistics, measure_statistics
from anamnesis.methods.features.frozen_features import FrozenFeatureKind, FrozenFeatures
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.heads.routing import route_logits
from anamnesis.methods.method_component import MethodComponent
from anamnesis.networks import Backbone, Classifier
from anamnesis.records.option_checks import check_bounds, not_negative


class ClassifierMode(StrEnum):
    """Which classifier answers."""

    AUTO = "auto"
    """``routed`` where prototypes are shared, else ``linear``: the version then stores only weights of a site."""
    LINEAR = "linear"
    """The head of the trained network."""
    PROTOTYPES = "prototypes"
    """Class prototypes in frozen features, with a covariance that all classes share."""
    ROUTED = "routed"
    """The prototypes predict the task, the head the class within it: p(task | x) p(class | task, x)."""
    LEARNED = "learned"
    """The same, with prototypes in the features that the network learns: no frozen space and no closed form."""


@dataclass(frozen=True, slots=True)
class ClassifierOptions:
    """The classifier that answers.

    Attributes:
        mode: ``linear``, ``prototypes``, ``routed`` or ``learned``; all but the first need
            ``visual_prototypes.sharing: shared``. ``auto`` is ``routed`` where prototypes are shared, else ``linear``;
            it is also ``linear`` on a base version without class prototypes.
        frozen_features: the features of ``prototypes`` and ``routed``: ``random``, ``encoder`` or ``both``.
        strength: added to the diagonal of the covariance of the prototypes, in units of the features' variance; 0
            chooses it for each kind of features by generalised cross-validation over the patients of all sites.
        prototype_weight: weight of the prototypes of each kind of features in the choice of the class within the task,
            where the mode is ``routed`` or ``learned``; the weight of the head is 1.
        refit_ridge: above 0, the rows of the head become the linear discriminant of the classes at the end of a task
            whose classes no other site taught, with this number added to the diagonal of the scatter; 0 keeps the
            trained rows. Use it only where no two sites share a task: else the head forgets the first of them.
    """

    mode: ClassifierMode = ClassifierMode.AUTO
    frozen_features: FrozenFeatureKind = FrozenFeatureKind.BOTH
    strength: float = not_negative(0.0)
    prototype_weight: float = not_negative(1.0)
    refit_ridge: float = not_negative(0.0)

    def __post_init__(self) -> None:
        check_bounds("ewc_prototype.classifier", self)


class TaskRouter(MethodComponent):
    """Mean of frozen features for each class and their shared covariance (Hayes and Kanan 2020).

    The statistics are sums over images: no later site takes anything out of them. Over the random features they do not
    depend on the order of sites; an encoder without pretrained weights is that of the first site.
    """

    name = "router"

    def __init__(
        self, feature_spaces: tuple[FrozenFeatures, ...], task_groups: TaskGroups, prototype_weight: float
    ) -> None:
        self.feature_spaces, self.task_groups, self.prototype_weight = feature_spaces, task_groups, prototype_weight

    def begin_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Takes the sums of the site out, which its current images replace at the end of the task."""
        for space in self.feature_spaces:
            space.to(network.head.weight.device)
            space.closed_form.clear_site(context.site, len(context.labels), network.head.weight.device)

    def end_task(self, network: Classifier, context: TaskContext, data: Data) -> None:
        """Replaces the sums of the site by those of its images."""
        device = network.head.weight.device
        for space in self.feature_spaces:
            space.copy_encoder(network, context.site)
        site_spaces = {
            space.name: (
                FeatureStatistics(space.extractor.width_out, len(context.labels), device),
                partial(space.features_of, backbone=network.backbone),
            )
            for space in self.feature_spaces
        }
        measure_statistics("router.statistics", site_spaces, context=context, data=data)
        for space in self.feature_spaces:
            space.closed_form.replace_site(context.site, site_spaces[space.name][0])

    def forget_site(self, network: Classifier, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the sums of ``site``."""
        for space in self.feature_spaces:
            space.closed_form.forget_site(site, kept_columns)

    def has_classes(self, class_count: int) -> bool:
        """Returns whether there is a mean for each class; a base version of another method has none."""
        return all(space.closed_form.sums.classes >= class_count for space in self.feature_spaces)

    def branches(self, images: Tensor, backbone: Backbone, frozen_maps: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps of each space; see ``FrozenFeatures.feature_maps``."""
        return tuple(
            Branch(space.name, space.feature_maps(images, backbone, frozen_maps), learns=False)
            for space in self.feature_spaces
        )

    def log_probs(self, feature_maps: Sequence[Tensor]) -> Tensor:
        """Returns log p(class | x), [N, K], by the prototypes alone; minus infinity for a class without images.

        The log-probabilities of the spaces are averaged: a sum, as if they were independent, is over-confident.

        Args:
            feature_maps: [N, F, h, w] of each space, see ``branches``.
        """
        space_log_probs = [space.log_probs(maps) for space, maps in zip(self.feature_spaces, feature_maps, strict=True)]
        return torch.stack(space_log_probs).mean(0).log_softmax(1)

    def route_logits(self, feature_maps: Sequence[Tensor], logits: Tensor) -> Tensor:
        """Returns log p(task | x) + log p(class | task, x) [N, K], the latter by the head's ``logits`` [N, K].

        With ``prototype_weight`` m, the head and S spaces predict the class within the task: the weighted mean of their
        log-probabilities there, with the weight 1 of the head and m of each space, normalised.
        """
        weight = self.prototype_weight * len(self.feature_spaces)
        return route_logits(self.log_probs(feature_maps), logits, self.task_groups.task_of_class, weight)

    def state_dict(self) -> StateDict:
        """Returns the state of all spaces."""
        return {name: value for space in self.feature_spaces for name, value in space.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores all spaces."""
        for space in self.feature_spaces:
            space.load_state_dict(state, device)
