"""``frozen_ridge``: a linear classifier in closed form on frozen features, from sums over the images of each site.

One pass over each site's images; after any number of sites, in any order, the answers are those of one fit to all their
images. Analytic class-incremental learning (ACIL, Zhuang et al., NeurIPS 2022, arXiv 2205.14922), streaming LDA (Hayes
and Kanan 2020), the nearest class mean (Mensink et al. 2013) and RanPAC (McDonnell et al., NeurIPS 2023) are settings
of it. The strength follows from the sums of all sites; the published code of RanPAC chooses it on the site that is
learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from anamnesis.methods.base import Branch, Data, PredictionRequest, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.closed_form.closed_form_head import ClosedFormHead
from anamnesis.methods.closed_form.heads import HeadKind
from anamnesis.methods.feature_cache import FeatureCache
from anamnesis.methods.features.feature_statistics import FeatureStatistics, measure_statistics
from anamnesis.methods.register import register
from anamnesis.methods.site_state import tensors_by_site
from anamnesis.methods.stage import Stage
from anamnesis.networks import Levels, build_backbone
from anamnesis.networks.fast_inference import FastInference
from anamnesis.networks.level_classifier import LevelClassifier, PooledLevels
from anamnesis.networks.random_features import RandomBackbone
from anamnesis.records import InputError, NetworkSettings, digest_json, encode
from anamnesis.records.option_checks import check_bounds, count_between, not_negative


class FeatureSource(StrEnum):
    """Origin of the frozen features."""

    FIRST_TASK = "first_task"
    """Those of the network: what is not frozen learns by gradient at the first site, then never again."""
    RANDOM = "random"
    """Random convolutions."""


@dataclass(frozen=True, slots=True)
class FrozenRidgeOptions:
    """Options of ``frozen_ridge``.

    Attributes:
        features: origin of the frozen features: ``first_task`` or ``random``. With ``network.frozen: all`` the first
            site trains nothing: the features are those of ``network.weights``.
        levels: how many of the network's last feature levels are read; 0 reads all.
        grid: cells along each side that each level is averaged over; 0 takes for each level the largest of at most 4
            that gives up to 512 features.
        projection: number of random features behind a ReLU (RanPAC); 0 reads the levels themselves. The sums of a site
            take 4 bytes times its square: 100 MB for 5,000.
        head: the classifier: ``ridge``, ``discriminant`` or ``nearest_mean``.
        strength: added to the diagonal of the covariance, in units of the features' variance; 0 chooses it by
            generalised cross-validation over the patients of all sites.
    """

    features: FeatureSource = FeatureSource.FIRST_TASK
    levels: int = count_between(0, 64, 0)
    grid: int = count_between(0, 64, 0)
    projection: int = count_between(0, 20_000, 0)
    head: HeadKind = HeadKind.DISCRIMINANT
    strength: float = not_negative(0.0)

    def __post_init__(self) -> None:
        check_bounds("frozen_ridge", self)


@register("frozen_ridge", FrozenRidgeOptions)
class FrozenRidge(ClassificationMethod[FrozenRidgeOptions]):
    """Frozen features and a head in closed form: forgets nothing, and learns no feature after the first site.

    State: ``ridge.<site>``, the sums of each site; their size depends on the features and classes alone.
    ``values`` has, as ``ridge_choice``, the strength and the cross-validation error of each that was tried.
    """

    network: LevelClassifier

    def build(self, spec: NetworkSettings, seed: int) -> LevelClassifier:
        """Returns the backbone with an empty head over its levels."""
        options, self._class_indices = self.options, ()
        is_random = options.features is FeatureSource.RANDOM
        backbone = (
            RandomBackbone(spec.channels, seed, spatial_dims=len(spec.size))
            if is_random
            else build_backbone(spec, seed)
        )
        network = LevelClassifier(backbone, options.levels, options.grid, options.projection, seed)
        self._fast_levels = FastInference(Levels(backbone, network.level_count))
        # Each image alone, so that its bits do not depend on what a cache has.
        self._fast_features = FastInference(PooledLevels(backbone, network.grids), images_per_pass=1)
        self._input_settings = encode(replace(spec, weights=None))  # the tensors count, wherever they come from
        self.closed_form = ClosedFormHead("ridge", network.head.weight.shape[1], options.head, options.strength)
        return network

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head; a stage of gradient descent only where features learn, at the first site.

        As long as there is no other site, the features go on learning: all sums are computed again.
        """
        stages = super().begin_task(context, data)
        device = self.network.head.weight.device
        self.closed_form.to(device)
        self.closed_form.clear_site(context.site, len(context.labels), device)
        return stages if self.network.backbone.learnable_parameters() and not context.other_sites else []

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Starts the backbone from pretrained tensors.

        Raises:
            InputError: the options ask for random features.
        """
        if self.options.features is FeatureSource.RANDOM:
            raise InputError(
                "frozen_ridge.features: random features have no use for network.weights; set features to first_task, "
                "or remove network.weights"
            )
        super().load_pretrained(tensors)

    def import_head(self, weight: Tensor, bias: Tensor, site: str) -> None:
        """Takes over the rows of the head; they stay until the site's own images are learned.

        Raises:
            InputError: the head reads a random projection.
        """
        if self.options.projection:
            raise InputError(
                "frozen_ridge.projection: an imported head reads the features themselves; set projection to 0, or "
                "import weights without a head"
            )
        super().import_head(weight, bias, site)
        self.closed_form.clear_site(site, len(weight), self.network.head.weight.device)

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Replaces the sums of the site by those of its images, and solves for the head."""
        head = self.network.head
        statistics = FeatureStatistics(head.weight.shape[1], len(context.labels), head.weight.device)
        spaces = {"levels": (statistics, lambda images: self._embed(images, context.feature_cache))}
        measure_statistics("head.sums", spaces, context, data)
        self.closed_form.replace_site(context.site, statistics)
        self.closed_form.update_rows(self.network.head)

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the sums of ``site`` and solves for the head again, exactly as if the site had never been learned.

        Features that the site trained stay.
        """
        super().forget_site(site, kept_columns)
        self.closed_form.forget_site(site, kept_columns)
        self.closed_form.update_rows(self.network.head)

    def _embed(self, images: Tensor, feature_cache: FeatureCache | None) -> Tensor:
        """Maps images [N, C, *sides] to what the head reads [N, D], always in float32."""
        if feature_cache is None:
            return self.network.embed_levels(self._fast_levels(images))
        space = digest_json({"settings": self._input_settings, "network": self._fast_features.digest()})
        features = feature_cache(space, images, lambda missing: self._fast_features(missing)[0])
        return self.network.project(features)

    def compute_logits(self, images: Tensor, request: PredictionRequest) -> Tensor:
        """Returns the head's logits [N, K], always in float32."""
        with torch.autocast(images.device.type, enabled=False):
            return self.network.head(self._embed(images, request.feature_cache))  # type: ignore[no-any-return]

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the maps of each level, always in float32, like the sums behind the head."""
        levels = self.network.backbone.levels[-self.network.level_count :]
        return tuple(
            Branch(level.name, maps, learns=False)
            for level, maps in zip(levels, self._fast_levels(images), strict=True)
        )

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns the head's logits [N, K], always in float32."""
        with torch.autocast(features[0].device.type, enabled=False):
            return self.network.classify_levels(features)

    def state_dict(self) -> StateDict:
        """Returns the network, the sums, and how the strength was chosen."""
        return super().state_dict() | self.closed_form.state_dict()

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
        self.closed_form.load_state_dict(state, self.network.head.weight.device)
