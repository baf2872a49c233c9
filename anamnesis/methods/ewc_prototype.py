"""``ewc_prototype``: elastic weight consolidation, class prototypes and saliency alignment in one method.

A reconstruction of Ignesti et al. 2026, "Fusing parametric and spatial constraints in continual learning", of which
only the abstract was available: elastic weight consolidation (the parametric constraint), anchored in a training that
reconstructs and classifies with class prototypes, and saliency maps aligned with static visual prototypes (the spatial
constraint). No image of an earlier site is needed.

    L = L_classification + a L_reconstruction + b R1 + c R2 + d L_saliency_alignment    the new data
      + e L_prototype_retention + lambda/2 sum_j F_j (theta_j - theta*_j)^2             the earlier tasks

Each summand is one class in ``losses``. The order within a task: a warm-up without saliency; the visual prototypes are
fixed; the alignment is ramped up; at the end prototypes, their maps, Fisher information and anchor are stored. The page
``docs/methods/ewc_prototype.md`` has formulas, interpretations and known problems.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from anamnesis.methods.base import Batch, Branch, Data, StateDict, TaskContext
from anamnesis.methods.classification import ClassificationMethod, SoftmaxScope
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.features.frozen_features import build_frozen_features
from anamnesis.methods.features.latent_prototypes import LatentPrototypes
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.features.visual_prototypes import PrototypeKind, VisualPrototypes
from anamnesis.methods.fisher.task_fisher import TaskFisher
from anamnesis.methods.heads.head_refit import HeadRefit
from anamnesis.methods.heads.learned_prototypes import LearnedPrototypes
from anamnesis.methods.heads.task_router import ClassifierMode, TaskRouter
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.methods.losses.classification import ClassificationLoss
from anamnesis.methods.losses.elastic_weight_consolidation import ElasticWeightConsolidationLoss
from anamnesis.methods.losses.prototype_distance import PrototypeNearSampleLoss, SampleNearPrototypeLoss
from anamnesis.methods.losses.prototype_retention import PrototypeRetentionLoss
from anamnesis.methods.losses.reconstruction import ReconstructionLoss
from anamnesis.methods.losses.saliency_alignment import SaliencyAlignmentLoss
from anamnesis.methods.method_component import MethodComponent
from anamnesis.methods.register import register
from anamnesis.methods.stage import ParameterGroup, Stage, TrainingStep
from anamnesis.networks import AutoEncoder
from anamnesis.records import InputError, NetworkSettings


@register("ewc_prototype", EWCPrototypeOptions)
class EWCPrototype(ClassificationMethod[EWCPrototypeOptions]):
    """Elastic weight consolidation, class prototypes and saliency alignment, summed over one forward pass.

    State: the network, and of each site a visual prototype for each class with the saliency map on it, Fisher
    information shaped like the weights, and sums of frozen features.
    """

    network: AutoEncoder
    notes = (
        "A reconstruction of Ignesti et al. 2026, of which only the abstract was available; each question that the "
        "abstract leaves open is an option.",
        "With shared prototypes, versions store one artificial image for each class: a mean over at least "
        "minimum_images images of a site, or what a decoder makes of one. It is not the image of a patient, and no "
        "privacy is claimed for it.",
    )

    def __init__(self, options: EWCPrototypeOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self.components = self._build_components(spec, seed)
        self.visual_prototypes = next((part for part in self.components if isinstance(part, VisualPrototypes)), None)
        self.router = next((part for part in self.components if isinstance(part, TaskRouter)), None)
        self.learned_prototypes = next((part for part in self.components if isinstance(part, LearnedPrototypes)), None)

    def _build_components(self, spec: NetworkSettings, seed: int) -> tuple[MethodComponent, ...]:
        """Returns the components that are switched on; shared state comes before the losses that read it."""
        options, task_groups, latent_prototypes = self.options, TaskGroups(), LatentPrototypes()
        has_latent_prototypes = (
            options.latent_prototypes.prototype_near_sample or options.latent_prototypes.sample_near_prototype
        )
        has_retention = options.active_retention.weight > 0
        visual_prototypes = VisualPrototypes(
            options.visual_prototypes,
            task_groups,
            latent_prototypes if has_latent_prototypes else None,
            saliency_target=options.saliency.target,
            replay_count=options.retention.replayed,
            is_stored=has_retention,
        )
        components: list[MethodComponent] = [task_groups]
        if has_latent_prototypes:
            components.append(latent_prototypes)
        if has_retention or options.saliency.weight:
            components.append(visual_prototypes)
        if options.classifier_mode is ClassifierMode.LEARNED:
            drift_source = visual_prototypes if visual_prototypes in components else None
            components.append(LearnedPrototypes(task_groups, drift_source, options.classifier.prototype_weight))
        elif options.classifier_mode is not ClassifierMode.LINEAR:
            components.append(self._build_router(spec.channels, seed, task_groups))
        losses = self._build_losses(task_groups, latent_prototypes, visual_prototypes)
        components += [loss for loss in losses if loss.weight]
        if options.classifier.refit_ridge:  # last, because tasks end in reverse: the others then store the new head
            components.append(HeadRefit(options.classifier.refit_ridge))
        return tuple(components)

    def _build_router(self, channels: int, seed: int, task_groups: TaskGroups) -> TaskRouter:
        options = self.options.classifier
        frozen_features = build_frozen_features(
            options.frozen_features, self.network, channels, seed, strength=options.strength
        )
        return TaskRouter(frozen_features, task_groups, options.prototype_weight)

    def _build_losses(
        self, task_groups: TaskGroups, latent_prototypes: LatentPrototypes, visual_prototypes: VisualPrototypes
    ) -> tuple[LossTerm, ...]:
        options, latent, competing = self.options, self.options.latent_prototypes, self.options.classification.competing
        has_class_mean_targets = options.visual_prototypes.kind is PrototypeKind.TARGET
        task_fisher = TaskFisher(
            options=options.fisher,
            softmax_scope=competing,
            reconstruction_weight=options.reconstruction.weight,
            saliency_target=options.saliency.target,
            task_groups=task_groups,
        )
        return (
            ClassificationLoss(options.classification),
            ReconstructionLoss(options.reconstruction.weight, use_class_means=has_class_mean_targets),
            PrototypeNearSampleLoss(latent.prototype_near_sample, latent_prototypes, latent.assignment),
            SampleNearPrototypeLoss(latent.sample_near_prototype, latent_prototypes, latent.assignment),
            SaliencyAlignmentLoss(options.saliency, visual_prototypes),
            PrototypeRetentionLoss(options.active_retention, options.saliency, visual_prototypes, competing),
            ElasticWeightConsolidationLoss(options.consolidation, task_fisher),
        )

    def softmax_scope(self) -> SoftmaxScope:
        """Returns the scope that the options choose."""
        return self.options.classification.competing

    def build(self, spec: NetworkSettings, seed: int) -> AutoEncoder:
        """Returns backbone, pooling, an empty head and a decoder."""
        super().build(spec, seed)
        return AutoEncoder(spec, seed)

    def load_pretrained(self, tensors: Mapping[str, Tensor]) -> None:
        """Starts the backbone, and the encoder behind the class prototypes, from pretrained tensors."""
        super().load_pretrained(tensors)
        for space in self.router.feature_spaces if self.router else ():
            space.load_pretrained(tensors)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head and all components that have a row for each class; returns one stage."""
        (stage,) = super().begin_task(context, data)
        self._context, self._data = context, data
        for component in self.components:
            component.begin_task(self.network, context, data)
        component_parameters = tuple(parameter for part in self.components for parameter in part.parameters())
        component_group = ParameterGroup(component_parameters, weight_decay_scale=0.0)
        groups = (*stage.groups, *([component_group] if component_parameters else []))
        # No penalty holds BatchNorm's running statistics: once there is another site they do not change, so that the
        # trained network is the one that answers and whose Fisher information was measured.
        train_modules = () if context.other_sites else stage.train_modules
        return [replace(stage, groups=groups, train_modules=train_modules)]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Returns every loss term that applies to this batch, times its weight."""
        if self.visual_prototypes and self.visual_prototypes.should_fix(step):
            self.visual_prototypes.fix_prototypes(self.network, self._context, self._data)
        output = self._forward(batch, step)
        losses = ((term, term.loss(output)) for term in self.components if isinstance(term, LossTerm))
        return {term.name: term.weight * value for term, value in losses if value is not None}

    def _forward(self, batch: Batch, step: TrainingStep) -> ForwardOutput:
        """Runs the network once, over the batch and the stored prototypes of this step together."""
        images, targets, batch_size = batch.images, batch.classes, len(batch.classes)
        sample_indices = batch.sample_indices
        if self.visual_prototypes and len(prototype_rows := self.visual_prototypes.select_replayed(step)):
            stored_prototypes = self.visual_prototypes.replayed
            images = torch.cat([images, stored_prototypes.images[prototype_rows].to(images)])
            targets = torch.cat([targets, stored_prototypes.columns[prototype_rows]])
            sample_indices = torch.cat([sample_indices, prototype_rows])
        feature_maps = self.network.features(images)
        logits = self.network.classify(feature_maps)
        reconstructions = (
            self.network.decode(feature_maps) if self._needs_reconstruction(len(targets) > batch_size) else None
        )

        def rows_of_output(rows: slice, prototype_output: ForwardOutput | None) -> ForwardOutput:
            return ForwardOutput(
                images=images[rows],
                targets=targets[rows],
                sample_indices=sample_indices[rows],
                feature_maps=feature_maps[rows],
                logits=logits[rows],
                reconstruction=None if reconstructions is None else reconstructions[rows],
                class_indices=self._class_indices,
                network=self.network,
                step=step,
                prototype_output=prototype_output,
            )

        prototype_output = rows_of_output(slice(batch_size, None), None) if len(targets) > batch_size else None
        return rows_of_output(slice(batch_size), prototype_output)

    def _needs_reconstruction(self, has_prototypes: bool) -> bool:
        return bool(self.options.reconstruction.weight or (has_prototypes and self.options.retention.reconstruction))

    def after_step(self, step: TrainingStep) -> None:
        """Applies the components' proximal updates."""
        for component in self.components:
            component.after_step(self.network, step)

    def log_metrics(self) -> dict[str, Tensor]:
        """Returns the logged scalars of all components."""
        return {name: value for component in self.components for name, value in component.log_metrics().items()}

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Stores prototypes and their maps, Fisher information and anchor, and the class means of the classifier."""
        for component in reversed(self.components):  # latent prototypes are dropped after their last use
            component.end_task(self.network, context, data)

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        """Returns the feature maps of the network and of the class prototypes, as far as they answer."""
        if not self.router:
            return super().explained_features(images)
        backbone = self.network.backbone
        frozen_maps = backbone.frozen_maps(images)
        branches = self.router.branches(images, backbone, frozen_maps)
        if self.options.classifier_mode is ClassifierMode.PROTOTYPES:
            return branches
        return (Branch("network", backbone.maps_from(frozen_maps), learns=True), *branches)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        """Returns logits [N, K], or log-probabilities where the class prototypes take part."""
        if self.learned_prototypes:
            return self.learned_prototypes.route_logits(self.network.embed(features[0]), super().answer_from(features))
        if not self.router:
            return super().answer_from(features)
        if self.options.classifier_mode is ClassifierMode.PROTOTYPES:
            return self.router.log_probs(features)
        return self.router.route_logits(features[1:], super().answer_from(features))

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes what each component has of ``site``; the weights are not unlearned."""
        super().forget_site(site, kept_columns)
        for component in self.components:
            component.forget_site(self.network, site, kept_columns)

    def state_dict(self) -> StateDict:
        """Returns the network and the state of each component."""
        state = super().state_dict()
        for component in self.components:
            state |= component.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Restores the network and each component.

        Raises:
            InputError: the classifier needs class prototypes, and the base version lacks those of some classes.
        """
        super().load_state_dict(state, class_count)
        for component in self.components:
            component.load_state_dict(state, self.network.head.weight.device)
        prototypes = self.learned_prototypes or self.router
        if prototypes and not prototypes.has_classes(class_count):
            self._remove_router()

    def _remove_router(self) -> None:
        """Answers with the head: imported weights and versions of other methods have no class prototypes."""
        if self.options.classifier.mode is not ClassifierMode.AUTO:
            raise InputError(
                f"ewc_prototype.classifier.mode: {self.options.classifier.mode} needs class prototypes of all classes, "
                "but the base version does not have them; set the mode to auto or linear, or create a new "
                "ContinualModel with an empty registry"
            )
        self.components = tuple(component for component in self.components if component is not self.router)
        self.router = None
