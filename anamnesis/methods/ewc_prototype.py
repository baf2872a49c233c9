"""``ewc_prototype``: the old answers are held in the weights, and where the network looks is held in the image.

A reconstruction of Ignesti et al. 2026, "Fusing parametric and spatial constraints in continual learning", of which
only the abstract was available: elastic weight consolidation (the parametric constraint), anchored in a training that
reconstructs and classifies with class prototypes, and saliency maps aligned with static visual prototypes (the spatial
constraint). No image of an earlier site is needed.

    L = L_classification + a L_reconstruction + b R1 + c R2 + d L_saliency_alignment    the new data
      + e L_prototype_retention + lambda/2 sum_j F_j (theta_j - theta*_j)^2             what was known

Each summand is one class in ``terms``. The order within a task: a warm-up without saliency; the visual prototypes are
fixed; the alignment is ramped up; at the end prototypes, their maps, Fisher information and anchor are stored. The page
``docs/methods/ewc_prototype.md`` has formulas, readings and traps.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from anamnesis.methods.base import (
    Batch,
    Data,
    ParameterGroup,
    Prediction,
    PredictionRequest,
    Stage,
    StateDict,
    TaskContext,
    TrainingStep,
)
from anamnesis.methods.classification import ClassificationMethod, restrict_logits
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.features.frozen_features import build_frozen_features
from anamnesis.methods.features.latent_prototypes import (
    LatentPrototypes,
    PrototypeNearSampleLoss,
    SampleNearPrototypeLoss,
)
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.methods.features.visual_prototypes import PrototypeKind, PrototypeSharing, VisualPrototypes
from anamnesis.methods.heads.head_refit import HeadRefit
from anamnesis.methods.heads.task_router import ClassifierMode, TaskRouter
from anamnesis.methods.loss_term import ForwardOutput, LossTerm
from anamnesis.methods.losses.classification import ClassificationLoss
from anamnesis.methods.losses.elastic_weight_consolidation import ElasticWeightConsolidationLoss
from anamnesis.methods.losses.prototype_retention import PrototypeRetentionLoss, RetentionWeights
from anamnesis.methods.losses.reconstruction import ReconstructionLoss
from anamnesis.methods.losses.saliency_alignment import SaliencyAlignmentLoss
from anamnesis.methods.register import register
from anamnesis.networks import AutoEncoder
from anamnesis.records import InputError, NetworkSettings


@register("ewc_prototype", EWCPrototypeOptions)
class EWCPrototype(ClassificationMethod[EWCPrototypeOptions]):
    """A sum of terms over one forward pass, each with its own state.

    State: the network, one visual prototype for each class with the map of where the network looked on it, Fisher
    information and anchor shaped like the weights; nothing else grows with the number of tasks.
    """

    network: AutoEncoder
    notes = (
        "A reconstruction of Ignesti et al. 2026, of which only the abstract was available; what the abstract leaves "
        "open is an option.",
        "With shared prototypes, versions hold one made-up image for each class: a mean over at least minimum_images "
        "images of a site or what a decoder makes of one. It is no patient's image, and no privacy is claimed for it.",
    )

    def __init__(self, options: EWCPrototypeOptions, spec: NetworkSettings, seed: int) -> None:
        super().__init__(options, spec, seed)
        self.terms = self._build_terms(spec, seed)
        self.visual_prototypes = next((term for term in self.terms if isinstance(term, VisualPrototypes)), None)
        self.router = next((term for term in self.terms if isinstance(term, TaskRouter)), None)

    def _build_terms(self, spec: NetworkSettings, seed: int) -> tuple[LossTerm, ...]:
        """Returns the terms that are switched on, and before them the state that they share."""
        options, task_groups = self.options, TaskGroups()
        retention_weight = options.prototype_retention if options.prototypes is PrototypeSharing.SHARED else 0.0
        has_latent_prototypes = options.prototype_near_sample or options.sample_near_prototype
        latent_prototypes = LatentPrototypes()
        visual_prototypes = VisualPrototypes(
            options.visual_settings(is_stored=bool(retention_weight)),
            task_groups,
            latent_prototypes if has_latent_prototypes else None,
        )
        shared_state: list[LossTerm] = [task_groups]
        if has_latent_prototypes:
            shared_state.append(latent_prototypes)
        if retention_weight or options.saliency_alignment:
            shared_state.append(visual_prototypes)
        if options.classifier_mode is not ClassifierMode.LINEAR:
            frozen_features = build_frozen_features(
                options.frozen, self.network, spec.channels, seed, options.shrinkage, options.first_site_shrinkage
            )
            shared_state.append(TaskRouter(frozen_features, task_groups, options.mix))
        retention_parts = RetentionWeights(options.retained_answer, options.retained_picture, options.retained_saliency)
        loss_terms: tuple[LossTerm, ...] = (
            ClassificationLoss(options.classification, options.competing),
            ReconstructionLoss(options.reconstruction, use_class_means=options.reading is PrototypeKind.TARGET),
            PrototypeNearSampleLoss(options.prototype_near_sample, latent_prototypes, options.assignment),
            SampleNearPrototypeLoss(options.sample_near_prototype, latent_prototypes, options.assignment),
            SaliencyAlignmentLoss(
                options.saliency_alignment, visual_prototypes, options.distance, options.normalisation, options.ramp
            ),
            PrototypeRetentionLoss(
                retention_weight,
                retention_parts,
                visual_prototypes,
                options.distance,
                options.normalisation,
                options.competing,
            ),
            ElasticWeightConsolidationLoss(options.penalty, options.ewc_settings, task_groups),
            HeadRefit(options.refit, task_groups),  # tasks end in reverse: what is stored is of this head
        )
        return (*shared_state, *(term for term in loss_terms if term.weight))

    def build(self, spec: NetworkSettings, seed: int) -> AutoEncoder:
        """Returns backbone, pooling, an empty head and a decoder."""
        super().build(spec, seed)
        return AutoEncoder(spec, seed)

    def begin_task(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head and whatever has a row for each class; one stage."""
        (stage,) = super().begin_task(context, data)
        self._context, self._data = context, data
        for term in self.terms:
            term.begin_task(self.network, context, data)
        term_parameters = tuple(parameter for term in self.terms for parameter in term.parameters())
        parameter_groups = (
            *stage.groups,
            *([ParameterGroup(term_parameters, weight_decay_scale=0.0)] if term_parameters else []),
        )
        # No penalty holds BatchNorm's running statistics: from the second task on they stay as they are, and the
        # network that learns is the one that answers and whose Fisher information was measured.
        return [
            replace(
                stage, groups=parameter_groups, train_modules=() if context.has_earlier_tasks else stage.train_modules
            )
        ]

    def loss(self, batch: Batch, step: TrainingStep) -> dict[str, Tensor]:
        """Every term that has something to say about this batch, times its weight."""
        if self.visual_prototypes and self.visual_prototypes.should_fix(step):
            self.visual_prototypes.fix_prototypes(self.network, self._context, self._data)
        output = self._forward(batch, step)
        term_losses = ((term, term.loss(output)) for term in self.terms)
        return {term.name: term.weight * value for term, value in term_losses if value is not None}

    def _forward(self, batch: Batch, step: TrainingStep) -> ForwardOutput:
        """Runs the network once, over the batch and the stored prototypes of this step together."""
        images, targets, batch_size = batch.images, batch.targets, len(batch.targets)
        if self.visual_prototypes and len(prototype_classes := self.visual_prototypes.select_replayed(step)):
            images = torch.cat([images, self.visual_prototypes.images[prototype_classes].to(images)])
            targets = torch.cat([targets, prototype_classes])
        feature_maps = self.network.features(images)
        logits = self.network.classify(feature_maps)
        reconstructions = (
            self.network.decode(feature_maps) if self._needs_reconstruction(len(targets) > batch_size) else None
        )

        def rows_of_output(rows: slice, prototype_output: ForwardOutput | None) -> ForwardOutput:
            return ForwardOutput(
                images=images[rows],
                targets=targets[rows],
                sample_indices=batch.sample_indices[rows],
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
        return bool(self.options.reconstruction or (has_prototypes and self.options.retained_picture))

    def after_step(self, step: TrainingStep) -> None:
        """Proximal updates."""
        for term in self.terms:
            term.after_step(self.network, step)

    def log_metrics(self) -> dict[str, Tensor]:
        """What the terms watch."""
        return {name: value for term in self.terms for name, value in term.log_metrics().items()}

    def end_task(self, context: TaskContext, data: Data) -> None:
        """Stores prototypes and their maps, Fisher information and anchor, and the classifier's class means."""
        for term in reversed(self.terms):  # who made the codes lets go of them last
            term.end_task(self.network, context, data)

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictionRequest) -> Prediction:
        """Logits, or log-probabilities where prototypes take part in the answer."""
        prediction = super().predict(images, replace(request, class_indices=()))
        logits = prediction.logits
        assert logits is not None
        if self.router and self.options.classifier_mode is ClassifierMode.ROUTED:
            logits = self.router.route_logits(images, logits)
        elif self.router:
            logits = self.router.log_probs(images)
        return replace(prediction, logits=restrict_logits(logits, request.class_indices))

    def state_dict(self) -> StateDict:
        """The network and the state of each term."""
        state = super().state_dict()
        for term in self.terms:
            state |= term.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], class_count: int) -> None:
        """Takes back the network and what each term finds of its own.

        Raises:
            InputError: prototypes are to answer, and the base version has none for its classes.
        """
        super().load_state_dict(state, class_count)
        for term in self.terms:
            term.load_state_dict(state, self.network.head.weight.device)
        if self.router and not self.router.has_classes(class_count):
            self._answer_with_head()

    def _answer_with_head(self) -> None:
        """Imported weights and other methods' versions have no class prototypes, and an unknown class has no chance."""
        if self.options.classifier is not ClassifierMode.AUTO:
            raise InputError(
                f"ewc_prototype: classifier {self.options.classifier} needs class prototypes of every class, and the "
                "base version has none in these features; choose classifier auto or linear, or start another model"
            )
        self.terms = tuple(term for term in self.terms if term is not self.router)
        self.router = None
