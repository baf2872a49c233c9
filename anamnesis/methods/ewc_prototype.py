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
    PredictRequest,
    Stage,
    State,
    Step,
    TaskContext,
)
from anamnesis.methods.classification import ClassificationMethod, only
from anamnesis.methods.ewc_prototype_options import EWCPrototypeOptions
from anamnesis.methods.features.frozen_features import spaces
from anamnesis.methods.features.latent_prototypes import LatentPrototypes, PrototypeNearSample, SampleNearPrototype
from anamnesis.methods.features.task_groups import Groups
from anamnesis.methods.features.visual_prototypes import Reading, Sharing, VisualPrototypes
from anamnesis.methods.heads.head_refit import Refit
from anamnesis.methods.heads.task_router import Answering, Router
from anamnesis.methods.loss_term import Pass, Term
from anamnesis.methods.losses.classification import Classification
from anamnesis.methods.losses.elastic_weight_consolidation import Consolidation
from anamnesis.methods.losses.prototype_retention import PrototypeRetention, RetentionWeights
from anamnesis.methods.losses.reconstruction import Reconstruction
from anamnesis.methods.losses.saliency_alignment import SaliencyAlignment
from anamnesis.methods.register import register
from anamnesis.networks import AutoEncoder
from anamnesis.records import InputError, NetworkSpec


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

    def __init__(self, options: EWCPrototypeOptions, spec: NetworkSpec, seed: int) -> None:
        super().__init__(options, spec, seed)
        self.parts = self._parts(spec, seed)
        self.visual = next((part for part in self.parts if isinstance(part, VisualPrototypes)), None)
        self.router = next((part for part in self.parts if isinstance(part, Router)), None)

    def _parts(self, spec: NetworkSpec, seed: int) -> tuple[Term, ...]:
        """Returns the terms that are switched on, and before them the state that they share."""
        o, groups = self.options, Groups()
        retention = o.prototype_retention if o.prototypes is Sharing.SHARED else 0.0
        near = o.prototype_near_sample or o.sample_near_prototype
        latent = LatentPrototypes()
        visual = VisualPrototypes(o.visual(kept=bool(retention)), groups, latent if near else None)
        shared: list[Term] = [groups]
        if near:
            shared.append(latent)
        if retention or o.saliency_alignment:
            shared.append(visual)
        if o.answering is not Answering.LINEAR:
            frozen = spaces(o.frozen, self.network, spec.channels, seed, o.shrinkage, o.first_site_shrinkage)
            shared.append(Router(frozen, groups, o.mix))
        parts = RetentionWeights(o.retained_answer, o.retained_picture, o.retained_saliency)
        terms: tuple[Term, ...] = (
            Classification(o.classification, o.competing),
            Reconstruction(o.reconstruction, class_means=o.reading is Reading.TARGET),
            PrototypeNearSample(o.prototype_near_sample, latent, o.assignment),
            SampleNearPrototype(o.sample_near_prototype, latent, o.assignment),
            SaliencyAlignment(o.saliency_alignment, visual, o.distance, o.normalisation, o.ramp),
            PrototypeRetention(retention, parts, visual, o.distance, o.normalisation, o.competing),
            Consolidation(o.penalty, o.consolidation, groups),
            Refit(o.refit, groups),  # tasks end in reverse: what is stored is of this head
        )
        return (*shared, *(term for term in terms if term.weight))

    def build(self, spec: NetworkSpec, seed: int) -> AutoEncoder:
        """Returns backbone, pooling, an empty head and a decoder."""
        super().build(spec, seed)
        return AutoEncoder(spec, seed)

    def begin(self, context: TaskContext, data: Data) -> list[Stage]:
        """Grows the head and whatever has a row for each class; one stage."""
        (stage,) = super().begin(context, data)
        self._context, self._data = context, data
        for part in self.parts:
            part.begin(self.network, context, data)
        learned = tuple(parameter for part in self.parts for parameter in part.parameters())
        groups = (*stage.groups, *([ParameterGroup(learned, weight_decay=0.0)] if learned else []))
        # No penalty holds BatchNorm's running statistics: from the second task on they stay as they are, and the
        # network that learns is the one that answers and whose Fisher information was measured.
        return [replace(stage, groups=groups, train=() if context.earlier else stage.train)]

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Every term that has something to say about this batch, times its weight."""
        if self.visual and self.visual.due(step):
            self.visual.fix(self.network, self._context, self._data)
        run = self._forward(batch, step)
        said = ((part, part.loss(run)) for part in self.parts)
        return {part.name: part.weight * value for part, value in said if value is not None}

    def _forward(self, batch: Batch, step: Step) -> Pass:
        """Runs the network once, over the batch and the stored prototypes of this step together."""
        images, targets, kept = batch.images, batch.targets, len(batch.targets)
        if self.visual and len(chosen := self.visual.replayed(step)):
            images = torch.cat([images, self.visual.images[chosen].to(images)])
            targets = torch.cat([targets, chosen])
        maps = self.network.features(images)
        logits = self.network.classify(maps)
        decoded = self.network.decode(maps) if self._decodes(len(targets) > kept) else None

        def part(rows: slice, old: Pass | None) -> Pass:
            return Pass(
                images=images[rows],
                targets=targets[rows],
                index=batch.index[rows],
                maps=maps[rows],
                logits=logits[rows],
                reconstruction=None if decoded is None else decoded[rows],
                columns=self._columns,
                network=self.network,
                step=step,
                old=old,
            )

        old = part(slice(kept, None), None) if len(targets) > kept else None
        return part(slice(kept), old)

    def _decodes(self, old: bool) -> bool:
        return bool(self.options.reconstruction or (old and self.options.retained_picture))

    def after_step(self, step: Step) -> None:
        """Proximal updates."""
        for part in self.parts:
            part.after_step(self.network, step)

    def watched(self) -> dict[str, Tensor]:
        """What the terms watch."""
        return {name: value for part in self.parts for name, value in part.watched().items()}

    def end(self, context: TaskContext, data: Data) -> None:
        """Stores prototypes and their maps, Fisher information and anchor, and the classifier's class means."""
        for part in reversed(self.parts):  # who made the codes lets go of them last
            part.end(self.network, context, data)

    @torch.no_grad()
    def predict(self, images: Tensor, request: PredictRequest) -> Prediction:
        """Logits, or log-probabilities where prototypes take part in the answer."""
        found = super().predict(images, replace(request, columns=()))
        logits = found.logits
        assert logits is not None
        if self.router and self.options.answering is Answering.ROUTED:
            logits = self.router.routed(images, logits)
        elif self.router:
            logits = self.router.log_chances(images)
        return replace(found, logits=only(logits, request.columns))

    def state_dict(self) -> State:
        """The network and the state of each term."""
        state = super().state_dict()
        for part in self.parts:
            state |= part.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], labels: int) -> None:
        """Takes back the network and what each term finds of its own.

        Raises:
            InputError: prototypes are to answer, and the base version has none for its classes.
        """
        super().load_state_dict(state, labels)
        for part in self.parts:
            part.load_state_dict(state, self.network.head.weight.device)
        if self.router and not self.router.knows(labels):
            self._head_alone()

    def _head_alone(self) -> None:
        """Imported weights and other methods' versions have no class prototypes, and an unknown class has no chance."""
        if self.options.classifier is not Answering.AUTO:
            raise InputError(
                f"ewc_prototype: classifier {self.options.classifier} needs class prototypes of every class, and the "
                "base version has none in these features; choose classifier auto or linear, or start another model"
            )
        self.parts = tuple(part for part in self.parts if part is not self.router)
        self.router = None
