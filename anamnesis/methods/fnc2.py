"""``fnc2``: contrastive learning towards fixed class prototypes, with a distillation of relations; no memory.

A reconstruction of Dang et al., "Memory-efficient Continual Learning with Neural Collapse Contrastive" (WACV 2025,
arXiv 2412.02865), for which no code is public; the base recipe is that of Co2L (Cha et al., ICCV 2021).

    L = FNC2 + lambda (alpha IRD + (1 - alpha) S-PRD)      the second part where other sites were learned before

``contrastive/`` has the terms. The prototypes are the vertices of a simplex; the classifier is the nearest of them, or
a closed form from sums of the features of each site. The page ``docs/methods/fnc2.md`` has the readings.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from anamnesis.methods.base import Batch, Data, MethodCapabilities, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod
from anamnesis.methods.closed_form.closed_form_head import ClosedFormHead
from anamnesis.methods.closed_form.heads import HeadKind
from anamnesis.methods.contrastive import (
    ContrastOptions,
    Cosines,
    RelationOptions,
    focal_contrast,
    instance_relations,
    prototype_relations,
    relation_balance,
)
from anamnesis.methods.contrastive.relation_distillation import RelatedPrototypes, TeacherStatistics
from anamnesis.methods.features.feature_statistics import FeatureStatistics, measure_statistics
from anamnesis.methods.register import register
from anamnesis.methods.site_state import tensors_by_site
from anamnesis.methods.stage import ParameterGroup, Stage, TrainingStep
from anamnesis.networks import evaluation_mode, find_learnable
from anamnesis.networks.contrastive_classifier import ContrastiveClassifier
from anamnesis.records import InputError, NetworkSettings
from anamnesis.records.option_checks import LARGEST_COUNT, check_bounds, count_between, not_negative


class AnswerKind(StrEnum):
    """Which classifier answers."""

    NEAREST_PROTOTYPE = "nearest_prototype"
    """The class prototype with the largest cosine: nothing of any image is stored."""
    RIDGE = "ridge"
    """Regression of one-hot labels on the pooled features, from sums over the images of each site."""
    DISCRIMINANT = "discriminant"
    """Gaussian classes with one covariance, from the same sums."""


@dataclass(frozen=True, slots=True)
class ProjectorOptions:
    """Options of the projector and of the class prototypes.

    Attributes:
        dimension: d, of the embeddings.
        hidden: width of the hidden layer; 0 takes that of the features.
        prototypes: number of class prototypes, at most d + 1; 0 takes d + 1. Later classes take free ones.
    """

    dimension: int = count_between(1, LARGEST_COUNT, 128)
    hidden: int = count_between(0, LARGEST_COUNT, 0)
    prototypes: int = count_between(0, LARGEST_COUNT, 0)

    def __post_init__(self) -> None:
        check_bounds("fnc2.projector", self)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Options of the classifier.

    Attributes:
        kind: which classifier answers.
        strength: of the classifiers from sums, see ``frozen_ridge``; 0 chooses it.
    """

    kind: AnswerKind = AnswerKind.NEAREST_PROTOTYPE
    strength: float = not_negative(0.0)

    def __post_init__(self) -> None:
        check_bounds("fnc2.classifier", self)


@dataclass(frozen=True, slots=True)
class FNC2Options:
    """Options of ``fnc2``.

    Attributes:
        contrast: the contrastive loss.
        distillation: the distillation of relations.
        projector: the projector, and the class prototypes.
        classifier: the classifier that answers.
    """

    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    distillation: RelationOptions = field(default_factory=RelationOptions)
    projector: ProjectorOptions = field(default_factory=ProjectorOptions)
    classifier: AnswerOptions = field(default_factory=AnswerOptions)


@register("fnc2", FNC2Options)
class FNC2(ClassificationMethod[FNC2Options]):
    """Contrastive learning towards fixed class prototypes, and a teacher's relations; two views of each image.

    State: the network with its prototypes and the prototype of each class. With a classifier from sums also
    ``sums.<site>``, the sums of each site by the features at the end of its own update.
    """

    capabilities = MethodCapabilities(research_only=True)
    notes: ClassVar[tuple[str, ...]] = ("A reconstruction of Dang et al. 2025, for which no code is public.",)
    network: ContrastiveClassifier

    def __init__(self, options: FNC2Options, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self._teacher: ContrastiveClassifier | None = None
        self._metrics: dict[str, Tensor] = {}

    def build(self, spec: NetworkSettings, seed: int) -> ContrastiveClassifier:
        """Returns backbone, empty head, projector and prototypes."""
        self._class_indices = ()
        projector, classifier = self.options.projector, self.options.classifier
        network = ContrastiveClassifier(
            spec, seed, dimension=projector.dimension, hidden=projector.hidden, vertices=projector.prototypes
        )
        self.closed_form: ClosedFormHead | None = None
        if classifier.kind is not AnswerKind.NEAREST_PROTOTYPE:
            kind = HeadKind(classifier.kind.value)
            self.closed_form = ClosedFormHead("sums", network.backbone.width_out, kind, classifier.strength)
        return network

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Keeps the base version as the teacher of what other sites taught, and gives new classes a prototype.

        The head does not learn: it is solved for, or has no part in the answer.

        Raises:
            InputError: there are more classes than prototypes.
        """
        prototypes, options = self.network.prototypes, self.options
        self._teacher = None
        if context.other_sites and prototypes.classes and options.distillation.weight:
            self._teacher = make_teacher(self.network, options.distillation.teacher_statistics)
        prototypes.grow(len(context.labels))
        all_columns = tuple(range(len(context.labels)))
        self._competing = prototypes.select_vertices(
            all_columns if options.contrast.old_prototypes else context.class_indices
        )
        is_old_alone = options.distillation.prototypes is RelatedPrototypes.OLD
        self._related = prototypes.select_vertices(context.other_columns if is_old_alone else all_columns)
        self._task_number = len(context.other_sites) + 1
        (stage,) = super().begin_task(context, data)
        if self.closed_form:
            self.closed_form.to(prototypes.frame.device)
            self.closed_form.clear_site(context.site, len(context.labels), prototypes.frame.device)
        learnable = find_learnable(self.network)
        parameters = tuple(value for name, value in learnable.items() if not name.startswith("head."))
        modules = (self.network.backbone, self.network.projector)
        return [replace(stage, groups=(ParameterGroup(parameters),), train_modules=modules, views=2)]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns the parts of the contrastive loss and, where there is a teacher, of the distillation.

        All views are one batch of the network, so that they have common statistics. Replayed samples, whose index is
        negative, are not anchors.
        """
        views = torch.cat(batch.views)
        frozen_maps = self.network.backbone.frozen_maps(views)  # the teacher has the same frozen layers
        student = self._cosines(self.network, frozen_maps)
        vertices = self.network.prototypes.vertex_of_class[batch.classes].repeat(len(batch.views))
        is_anchor = (batch.sample_indices >= 0).to(views.device).repeat(len(batch.views))
        contrast = focal_contrast(student, vertices, is_anchor, self._competing, self.options.contrast)
        terms = {"pairs": contrast.pairs}
        self._metrics = {"pairs.focal_weight": contrast.pair_focal_weight}
        if self.options.contrast.prototype_weight:
            terms["prototypes"] = contrast.prototypes
            self._metrics["prototypes.focal_weight"] = contrast.prototype_focal_weight
        if self._teacher is not None:
            with torch.no_grad():
                teacher = self._cosines(self._teacher, frozen_maps)
            terms |= self._relation_terms(student, teacher, step)
        return terms

    def _cosines(self, network: ContrastiveClassifier, frozen_maps: Tensor) -> Cosines:
        """Returns the cosines of the embeddings that ``network`` gives to the maps of its frozen layers."""
        embeddings = network.project(network.embed(network.backbone.maps_from(frozen_maps)))
        return Cosines.of(embeddings, self.network.prototypes.frame)

    def _relation_terms(self, student: Cosines, teacher: Cosines, step: TrainingStep) -> dict[str, Tensor]:
        """Returns both parts of the distillation, times their weights."""
        options = self.options.distillation
        alpha = relation_balance(options, step.progress, self._task_number)
        self._metrics["alpha"] = torch.tensor(alpha)
        return {
            "instance_relations": options.weight * alpha * instance_relations(student, teacher, options),
            "prototype_relations": options.weight
            * (1 - alpha)
            * prototype_relations(student, teacher, self._related, options),
        }

    def log_metrics(self) -> Mapping[str, Tensor]:
        """Returns alpha, and the mean focal weights: where they are 1, the focal factor does nothing."""
        return self._metrics

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Drops the teacher; with a classifier from sums, replaces those of the site and solves for the head."""
        self._teacher = None
        if not self.closed_form:
            return
        network = self.network
        statistics = FeatureStatistics(network.head.weight.shape[1], len(context.labels), network.head.weight.device)
        spaces = {"features": (statistics, lambda images: network.embed(network.features(images)))}
        with evaluation_mode(network):
            measure_statistics("classifier.sums", spaces, context, data)
        self.closed_form.replace_site(context.site, statistics)
        self.closed_form.update_rows(network.head)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K]: cosines with the class prototypes over tau, or the head's.

        The head answers too where no class has a prototype yet: its weights were imported.
        """
        if self.closed_form or not self.network.prototypes.classes:
            return super().answer_from(features)
        return self.network.prototype_cosines(self.network.embed(features[0])) / self.options.contrast.temperature

    def import_head(self, weight: Tensor, bias: Tensor, site: str) -> None:
        """Takes over the rows of the head; they answer until a site's own images are learned."""
        super().import_head(weight, bias, site)
        if self.closed_form:
            self.closed_form.clear_site(site, len(weight), self.network.head.weight.device)

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the sums of ``site``, and frees the prototypes of its classes; the weights are not unlearned."""
        super().forget_site(site, kept_columns)
        self.network.prototypes.keep(kept_columns)
        if self.closed_form:
            self.closed_form.forget_site(site, kept_columns)
            self.closed_form.update_rows(self.network.head)

    def state_dict(self) -> StateDict:
        """Returns the network with its prototypes and, where they are used, the sums of each site."""
        return super().state_dict() | (self.closed_form.state_dict() if self.closed_form else {})

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and the sums.

        Raises:
            InputError: the base version was made by another method, or with another projector or classifier.
        """
        frame, vertices = (state.get(f"network/prototypes.{name}") for name in ("frame", "vertex_of_class"))
        if not isinstance(frame, Tensor) or not isinstance(vertices, Tensor):
            raise InputError(
                f"method.name: {self.name} cannot continue from the base version, which another method made; set "
                "method.name back to the earlier method, or create a new ContinualModel with an empty registry"
            )
        prototypes = self.network.prototypes
        if frame.shape != prototypes.frame.shape:
            raise InputError(
                f"{self.name}.projector: the base version has {len(frame)} prototypes in {frame.shape[1]} dimensions, "
                f"found {len(prototypes.frame)} in {prototypes.frame.shape[1]}; set dimension and prototypes back"
            )
        if self.closed_form and not tensors_by_site(state, "sums"):
            raise InputError(
                f"{self.name}.classifier.kind: {self.options.classifier.kind} needs the sums of all sites, but the "
                "base version does not have them; set kind to nearest_prototype, or create a new ContinualModel with "
                "an empty registry"
            )
        prototypes.resize(len(vertices))
        super().load_state_dict(state, class_count)
        if self.closed_form:
            self.closed_form.load_state_dict(state, prototypes.frame.device)


def make_teacher(network: ContrastiveClassifier, statistics: TeacherStatistics) -> ContrastiveClassifier:
    """Returns a copy of the network that does not learn, in evaluation mode; no batch changes it.

    Args:
        network: of the base version.
        statistics: of its batch normalisations; those of the batch need no stored ones.
    """
    teacher = copy.deepcopy(network).requires_grad_(False)
    if statistics is TeacherStatistics.BATCH:
        teacher.train()  # frozen ones stay in evaluation mode, and keep their statistics
        for module in teacher.modules():
            if isinstance(module, _BatchNorm) and module.training:
                module.track_running_stats, module.running_mean, module.running_var = False, None, None
    return teacher.eval()
