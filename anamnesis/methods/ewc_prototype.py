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
from dataclasses import dataclass, fields, replace

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
from anamnesis.methods.classification import ClassificationMethod, Competing, only
from anamnesis.methods.register import register
from anamnesis.methods.terms.base import Pass, Term
from anamnesis.methods.terms.classification import Classification
from anamnesis.methods.terms.consolidation import Consolidation, ConsolidationSettings, Scale, Way
from anamnesis.methods.terms.fisher import FisherKind
from anamnesis.methods.terms.groups import Groups
from anamnesis.methods.terms.maps import Distance, Evidence, Normalisation
from anamnesis.methods.terms.prototypes import Assignment, LatentPrototypes, PrototypeNearSample, SampleNearPrototype
from anamnesis.methods.terms.quadratic import Merging
from anamnesis.methods.terms.reconstruction import Reconstruction
from anamnesis.methods.terms.refit import Refit
from anamnesis.methods.terms.retention import PrototypeRetention, RetentionWeights
from anamnesis.methods.terms.router import Answering, Router
from anamnesis.methods.terms.saliency import SaliencyAlignment
from anamnesis.methods.terms.spaces import Frozen, spaces
from anamnesis.methods.terms.visual import PrototypeMap, Reading, Sharing, VisualPrototypes, VisualSettings
from anamnesis.networks import AutoEncoder
from anamnesis.records import InputError, NetworkSpec


@dataclass(frozen=True, slots=True)
class EWCPrototypeOptions:
    """Options of ``ewc_prototype``. A weight of 0 switches its term off; with all at 0 it is fine-tuning.

    Attributes:
        penalty: lambda, the strength of the pull towards the old weights.
        decay: gamma; what is left of earlier tasks' Fisher information when a task is added to it.
        fisher: whose labels the Fisher information is computed with: ``exact``, ``sampled`` or ``empirical``.
        fisher_images: images it is computed on; 0 takes the whole training split.
        fisher_temperature: at which logits are softened for it; a network that is sure of everything has none at 1.
        fisher_probes: backward passes per batch for the reconstruction's Fisher information; 0 leaves the decoder free.
        fisher_saliency: weight of the saliency maps' Fisher information, beside that of the answers: weights that move
            where the network looks are held too.
        fisher_scale: what each task's is divided by: ``none``, ``mean`` or ``max``.
        fisher_clip: its largest value after that; 0 leaves it.
        merging: of the tasks' quadratics: ``online`` (around the latest weights) or ``exact`` (their sum).
        pull: ``explicit`` (a summand of the loss) or ``proximal`` (after each step; stable for any penalty).
        competing: which classes compete in the softmax: ``task`` (old rows of the head stay as they are) or ``seen``.
        classification: weight of the cross-entropy.
        reconstruction: weight of the squared error per pixel.
        prototype_near_sample: weight of R1, the distance from each latent prototype to the nearest image.
        sample_near_prototype: weight of R2, the distance from each image to the nearest latent prototype.
        saliency_alignment: weight of the distance between saliency maps and the visual prototype of their class.
        prototype_retention: weight of what stored prototypes must keep; needs shared ``prototypes``.
        prototypes: ``private``, or ``shared``: visual prototypes are stored in the version, for the tasks to come.
            Whoever reads the registry can look at them, so a site has to want it.
        minimum_images: a class with fewer images at a site gets no visual prototype from that site.
        retained_answer: factor on the cross-entropy within ``prototype_retention``.
        retained_picture: factor on the reconstruction within it.
        retained_saliency: factor on the saliency within it.
        replayed: how many stored prototypes go through the network with each batch.
        reading: what a visual prototype is: ``decoded`` (P1), ``outputs`` or ``inputs`` (P2), ``target`` (P3).
        assignment: which latent prototype an image is compared with: ``own`` or ``nearest``.
        prototype_map: how a prototype says where to look: ``intensity``, ``distinctive`` or ``saliency``.
        evidence: which score a saliency map explains: ``contrast`` with the task's classes, or ``class``.
        distance: between maps: ``cosine``, ``l1`` or ``raw``.
        normalisation: of maps that are almost empty: ``masked``, ``smooth`` or ``signed``.
        warm_up: share of the training before visual prototypes are fixed and saliency counts.
        ramp: share of the training over which saliency comes to its full weight.
        refit: at the end of a task whose classes are all new, its rows of the head become their linear discriminant,
            with this added to the diagonal of the scatter; 0 leaves the rows as they were trained. Only where no two
            sites share a task: else the first of them is forgotten.
        classifier: who answers: ``linear``, ``prototypes`` or ``routed``; the latter two need shared ``prototypes``.
            ``auto`` is ``routed`` where they are shared, else ``linear``, as it is on a base version without them.
        frozen: the features in which ``prototypes`` and ``routed`` answer: ``random``, ``first_site`` or ``both``.
        shrinkage: added to the diagonal of the scatter of the random features.
        first_site_shrinkage: the same for the first site's, whose classes are tighter.
        mix: how much the prototypes say about the class within the task where the answer is ``routed``.
    """

    penalty: float = 3000.0
    decay: float = 1.0
    fisher: FisherKind = FisherKind.SAMPLED
    fisher_images: int = 2000
    fisher_temperature: float = 1.0
    fisher_probes: int = 0
    fisher_saliency: float = 0.1
    fisher_scale: Scale = Scale.NONE
    fisher_clip: float = 0.0
    merging: Merging = Merging.ONLINE
    pull: Way = Way.EXPLICIT
    competing: Competing = Competing.TASK
    classification: float = 1.0
    reconstruction: float = 1.0
    prototype_near_sample: float = 0.05
    sample_near_prototype: float = 0.05
    saliency_alignment: float = 0.1
    prototype_retention: float = 0.1
    prototypes: Sharing = Sharing.PRIVATE
    minimum_images: int = 50
    retained_answer: float = 0.0
    retained_picture: float = 1.0
    retained_saliency: float = 1.0
    replayed: int = 4
    reading: Reading = Reading.DECODED
    assignment: Assignment = Assignment.OWN
    prototype_map: PrototypeMap = PrototypeMap.DISTINCTIVE
    evidence: Evidence = Evidence.CONTRAST
    distance: Distance = Distance.COSINE
    normalisation: Normalisation = Normalisation.MASKED
    warm_up: float = 0.25
    ramp: float = 0.25
    refit: float = 0.0
    classifier: Answering = Answering.AUTO
    frozen: Frozen = Frozen.BOTH
    shrinkage: float = 30.0
    first_site_shrinkage: float = 3.0
    mix: float = 1.0

    @property
    def answering(self) -> Answering:
        """Who answers, ``auto`` resolved."""
        if self.classifier is not Answering.AUTO:
            return self.classifier
        return Answering.ROUTED if self.prototypes is Sharing.SHARED else Answering.LINEAR

    def __post_init__(self) -> None:
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in numbers.items():
            if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
                raise InputError(f"ewc_prototype: expected {name} of 0 or more, found {value}")
        for name in ("decay", "warm_up", "ramp"):
            if numbers[name] > 1:
                raise InputError(f"ewc_prototype: expected {name} from 0 to 1, found {numbers[name]}")
        if self.prototypes is Sharing.PRIVATE and self.classifier in (Answering.PROTOTYPES, Answering.ROUTED):
            raise InputError(
                f"ewc_prototype: classifier {self.classifier} stores class prototypes in the version; it needs "
                "prototypes: shared, or choose classifier linear"
            )
        for name in ("fisher_temperature", "shrinkage", "first_site_shrinkage"):
            if not numbers[name]:
                raise InputError(f"ewc_prototype: expected {name} above 0, found {numbers[name]}")
        if not (self.classification or self.reconstruction):
            raise InputError(
                "ewc_prototype: expected classification or reconstruction above 0; nothing would be learned"
            )


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
        settings = VisualSettings(
            o.reading, o.prototype_map, o.evidence, o.warm_up, o.minimum_images, o.replayed, bool(retention)
        )
        visual = VisualPrototypes(settings, groups, latent if near else None)
        shared: list[Term] = [groups]
        if near:
            shared.append(latent)
        if retention or o.saliency_alignment:
            shared.append(visual)
        if o.answering is not Answering.LINEAR:
            both = spaces(o.frozen, self.network, spec.channels, seed, o.shrinkage, o.first_site_shrinkage)
            shared.append(Router(both, groups, o.mix))
        parts = RetentionWeights(o.retained_answer, o.retained_picture, o.retained_saliency)
        consolidation = ConsolidationSettings(
            fisher=o.fisher,
            images=o.fisher_images,
            temperature=o.fisher_temperature,
            probes=o.fisher_probes,
            reconstruction=o.reconstruction,
            saliency=o.fisher_saliency,
            evidence=o.evidence,
            scale=o.fisher_scale,
            clip=o.fisher_clip,
            decay=o.decay,
            merging=o.merging,
            way=o.pull,
            competing=o.competing,
        )
        terms: tuple[Term, ...] = (
            Classification(o.classification, o.competing),
            Reconstruction(o.reconstruction, class_means=o.reading is Reading.TARGET),
            PrototypeNearSample(o.prototype_near_sample, latent, o.assignment),
            SampleNearPrototype(o.sample_near_prototype, latent, o.assignment),
            SaliencyAlignment(o.saliency_alignment, visual, o.distance, o.normalisation, o.ramp),
            PrototypeRetention(retention, parts, visual, o.distance, o.normalisation, o.competing),
            Consolidation(o.penalty, consolidation, groups),
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
