"""The options of ``ewc_prototype``: what each is for, its default, and which do not go together.

The defaults come from the development sequence of the scoreboard (docs/methods/ewc_prototype.md), never from test data.
"""

from dataclasses import dataclass, fields

from anamnesis.methods.classification import SoftmaxScope
from anamnesis.methods.features.frozen_features import FrozenFeatureKind
from anamnesis.methods.features.latent_prototypes import PrototypeAssignment
from anamnesis.methods.features.saliency_maps import MapDistance, MapNormalisation, SaliencyTarget
from anamnesis.methods.features.visual_prototypes import (
    PrototypeKind,
    PrototypeMap,
    PrototypeSharing,
    VisualPrototypeSettings,
)
from anamnesis.methods.fisher.diagonal import FisherKind
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge
from anamnesis.methods.heads.task_router import ClassifierMode
from anamnesis.methods.losses.elastic_weight_consolidation import EWCSettings, FisherScale, PenaltyMode
from anamnesis.records import InputError


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
    fisher_scale: FisherScale = FisherScale.NONE
    fisher_clip: float = 0.0
    merging: PenaltyMerge = PenaltyMerge.ONLINE
    pull: PenaltyMode = PenaltyMode.EXPLICIT
    competing: SoftmaxScope = SoftmaxScope.TASK
    classification: float = 1.0
    reconstruction: float = 1.0
    prototype_near_sample: float = 0.05
    sample_near_prototype: float = 0.05
    saliency_alignment: float = 0.1
    prototype_retention: float = 0.1
    prototypes: PrototypeSharing = PrototypeSharing.PRIVATE
    minimum_images: int = 50
    retained_answer: float = 0.0
    retained_picture: float = 1.0
    retained_saliency: float = 1.0
    replayed: int = 4
    reading: PrototypeKind = PrototypeKind.DECODED
    assignment: PrototypeAssignment = PrototypeAssignment.OWN
    prototype_map: PrototypeMap = PrototypeMap.DISTINCTIVE
    evidence: SaliencyTarget = SaliencyTarget.CONTRAST
    distance: MapDistance = MapDistance.COSINE
    normalisation: MapNormalisation = MapNormalisation.MASKED
    warm_up: float = 0.25
    ramp: float = 0.25
    refit: float = 0.0
    classifier: ClassifierMode = ClassifierMode.AUTO
    frozen: FrozenFeatureKind = FrozenFeatureKind.BOTH
    shrinkage: float = 30.0
    first_site_shrinkage: float = 3.0
    mix: float = 1.0

    @property
    def classifier_mode(self) -> ClassifierMode:
        """Who answers, ``auto`` resolved."""
        if self.classifier is not ClassifierMode.AUTO:
            return self.classifier
        return ClassifierMode.ROUTED if self.prototypes is PrototypeSharing.SHARED else ClassifierMode.LINEAR

    @property
    def ewc_settings(self) -> EWCSettings:
        """The options of the parametric constraint."""
        return EWCSettings(
            fisher_kind=self.fisher,
            image_limit=self.fisher_images,
            temperature=self.fisher_temperature,
            probes=self.fisher_probes,
            reconstruction_weight=self.reconstruction,
            saliency_weight=self.fisher_saliency,
            saliency_target=self.evidence,
            scale=self.fisher_scale,
            clip=self.fisher_clip,
            decay=self.decay,
            penalty_merge=self.merging,
            penalty_mode=self.pull,
            softmax_scope=self.competing,
        )

    def visual_settings(self, is_stored: bool) -> VisualPrototypeSettings:
        """The options of the visual prototypes; ``is_stored`` where they are stored for the tasks to come."""
        return VisualPrototypeSettings(
            self.reading,
            self.prototype_map,
            self.evidence,
            self.warm_up,
            self.minimum_images,
            self.replayed,
            is_stored,
        )

    def __post_init__(self) -> None:
        option_values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in option_values.items():
            if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
                raise InputError(f"ewc_prototype: expected {name} of 0 or more, found {value}")
        for name in ("decay", "warm_up", "ramp"):
            if option_values[name] > 1:
                raise InputError(f"ewc_prototype: expected {name} from 0 to 1, found {option_values[name]}")
        if self.prototypes is PrototypeSharing.PRIVATE and self.classifier in (
            ClassifierMode.PROTOTYPES,
            ClassifierMode.ROUTED,
        ):
            raise InputError(
                f"ewc_prototype: classifier {self.classifier} stores class prototypes in the version; it needs "
                "prototypes: shared, or choose classifier linear"
            )
        for name in ("fisher_temperature", "shrinkage", "first_site_shrinkage"):
            if not option_values[name]:
                raise InputError(f"ewc_prototype: expected {name} above 0, found {option_values[name]}")
        if not (self.classification or self.reconstruction):
            raise InputError(
                "ewc_prototype: expected classification or reconstruction above 0; nothing would be learned"
            )
