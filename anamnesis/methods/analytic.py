"""The base of the methods in closed form: a frozen backbone, a grid of cells, and sums over images."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import torch
from torch import Tensor

from anamnesis.methods.base import Branch, Data, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.features.feature_statistics import FeatureStatistics, measure_statistics
from anamnesis.methods.features.site_sums import SiteSums
from anamnesis.methods.site_state import tensors_by_site
from anamnesis.methods.stage import Stage
from anamnesis.networks import Levels, build_backbone
from anamnesis.networks.fast_inference import FastInference
from anamnesis.networks.random_features import GRID, GridClassifier, RandomBackbone
from anamnesis.records import InputError, NetworkSettings
from anamnesis.records.option_checks import check_bounds, count_between


class BackboneSource(StrEnum):
    """Origin of the frozen backbone."""

    FIRST_TASK = "first_task"
    """That of the network: trained by gradient on the first site, then frozen from the first update of another on."""
    RANDOM = "random"
    """Random convolutions."""


@dataclass(frozen=True, slots=True)
class AnalyticOptions:
    """Options that the methods in closed form share.

    Attributes:
        features: origin of the frozen backbone: ``first_task`` or ``random``. With ``network.frozen: all`` the first
            site trains nothing: the features are those of ``network.weights``.
        grid: cells along each side that the feature maps are averaged over.
    """

    features: BackboneSource = BackboneSource.FIRST_TASK
    grid: int = count_between(1, 64, GRID)

    def __post_init__(self) -> None:
        check_bounds("method option", self)


Options = TypeVar("Options", bound=AnalyticOptions)


class AnalyticMethod(ClassificationMethod[Options]):
    """A frozen backbone and a head in closed form, from sums that forget nothing. Subclasses compute the head.

    State: ``ridge.<site>``, the sums of each site; their size depends on the features and classes alone.
    """

    network: GridClassifier

    def build(self, spec: NetworkSettings, seed: int) -> GridClassifier:
        """Returns the backbone with an empty head over the grid."""
        self._class_indices: tuple[int, ...] = ()
        is_random = self.options.features is BackboneSource.RANDOM
        backbone = (
            RandomBackbone(spec.channels, seed, spatial_dims=len(spec.size))
            if is_random
            else build_backbone(spec, seed)
        )
        network = GridClassifier(backbone, self.options.grid)
        self._fast_maps = FastInference(Levels(backbone))
        self._statistics = SiteSums(network.head.weight.shape[1])
        return network

    @abstractmethod
    def solve_head(self, statistics: FeatureStatistics) -> Tensor:
        """Returns the head's weights [K, D + 1], the bias last."""

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head; a stage of gradient descent only where the backbone comes from the first site.

        As long as there is no other site, the backbone goes on learning: all sums are computed again.
        """
        stages = super().begin_task(context, data)
        device = self.network.head.weight.device
        self._statistics.to(device)
        self._statistics.clear(context.site, len(context.labels), device)
        if context.other_sites:
            return []
        backbone = self.network.backbone
        has_learnable = len(backbone.frozen_parameters) < len(list(backbone.parameters()))
        return stages if has_learnable else []

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Starts the backbone from pretrained tensors.

        Raises:
            InputError: the options ask for random features.
        """
        if self.options.features is BackboneSource.RANDOM:
            raise InputError(
                f"{self.name}.features: random features have no use for network.weights; set features to first_task, "
                "or remove network.weights"
            )
        super().load_pretrained(tensors)

    def import_head(self, weight: Tensor, bias: Tensor, site: str) -> None:
        """Takes over the rows of the head; they stay until the site's own images are learned."""
        super().import_head(weight, bias, site)
        self._statistics.clear(site, len(weight), self.network.head.weight.device)

    @torch.no_grad()
    def end_task(self, context: TaskContext, data: Data) -> None:
        """Replaces the sums of the site by those of its images, and solves for the head."""
        head = self.network.head
        statistics = FeatureStatistics(head.weight.shape[1], len(context.labels), head.weight.device)
        spaces = {"grid": (statistics, lambda images: self.network.embed(self._fast_maps(images)[0]))}
        measure_statistics("head.statistics", spaces, context=context, data=data)
        self._statistics.replace(context.site, statistics)
        self._update_head()

    @torch.no_grad()
    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the sums of ``site`` and solves for the head again, exactly as if the site had never been learned.

        A backbone that the site trained stays.
        """
        super().forget_site(site, kept_columns)
        self._statistics.forget(site, kept_columns)
        self._update_head()

    def _update_head(self) -> None:
        head, head_weights = self.network.head, self.solve_head(self._statistics.total)
        is_solved = torch.ones(head.classes, dtype=torch.bool, device=head.weight.device)
        if self._statistics.imported_sites:  # their classes have no sums
            is_solved = self._statistics.total.sums[:, -1] > 0
        head.weight[is_solved] = head_weights[is_solved, :-1].to(head.weight)
        head.bias[is_solved] = head_weights[is_solved, -1].to(head.bias)

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the frozen feature maps, always in float32, like the sums behind the head."""
        return (Branch("network", self._fast_maps(images)[0], learns=False),)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the head's logits [N, K], always in float32."""
        with torch.autocast(features[0].device.type, enabled=False):
            return super().answer_from(features)

    def state_dict(self) -> StateDict:
        """Returns the network and the sums."""
        return super().state_dict() | self._statistics.state_dict("ridge")

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and the sums.

        Raises:
            InputError: the base version was made by a method without sums.
        """
        if not tensors_by_site(state, "ridge"):
            raise InputError(
                f"method.name: {self.name} cannot continue from the base version, which another method made; set "
                "method.name back to the earlier method, or create a new ContinualModel with an empty registry"
            )
        super().load_state_dict(state, class_count)
        self._statistics.load_state_dict(state, "ridge", self.network.head.weight.device)
