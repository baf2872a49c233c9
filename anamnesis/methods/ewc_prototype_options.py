"""The options of ``ewc_prototype``, in groups, and the combinations that are refused.

Each group is defined beside the component that it configures. The defaults come from the development sequence of the
scoreboard (docs/methods/ewc_prototype.md), never from test data.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from anamnesis.methods.features.latent_prototypes import LatentPrototypeOptions
from anamnesis.methods.features.visual_prototypes import PrototypeSharing, VisualPrototypeOptions
from anamnesis.methods.fisher.task_fisher import FisherOptions
from anamnesis.methods.heads.task_router import ClassifierMode, ClassifierOptions
from anamnesis.methods.losses.classification import ClassificationOptions
from anamnesis.methods.losses.elastic_weight_consolidation import ConsolidationOptions
from anamnesis.methods.losses.prototype_retention import RetentionOptions
from anamnesis.methods.losses.reconstruction import ReconstructionOptions
from anamnesis.methods.losses.saliency_alignment import SaliencyOptions
from anamnesis.records.option_checks import check_rules
from anamnesis.records.option_rules import OptionRule


@dataclass(frozen=True, slots=True)
class EWCPrototypeOptions:
    """Options of ``ewc_prototype``. A weight of 0 switches its loss off; with all at 0 it is fine-tuning.

    Attributes:
        consolidation: the quadratic penalty on changes of the weights.
        fisher: the Fisher information of that penalty.
        classification: the cross-entropy.
        reconstruction: the reconstruction of images from their feature maps.
        latent_prototypes: one learned code for each class.
        visual_prototypes: one image for each class.
        saliency: saliency maps and their alignment with the visual prototypes.
        retention: what stored visual prototypes must keep.
        classifier: the classifier that answers.
    """

    rules: ClassVar[tuple[OptionRule, ...]] = (
        OptionRule(
            "classifier.mode",
            ("prototypes", "routed", "learned"),
            "visual_prototypes.sharing",
            "prototypes, routed and learned need class prototypes in each version, but visual_prototypes.sharing is "
            "not shared; set sharing to shared, or mode to linear",
            needed_values=("shared",),
        ),
        OptionRule(
            "classification.weight",
            (0.0,),
            "reconstruction.weight",
            "classification.weight and reconstruction.weight are 0, so nothing would be learned; "
            "set one of them above 0",
            forbidden_values=(0.0,),
        ),
        OptionRule(
            "retention",
            (),
            "visual_prototypes.sharing",
            "without shared prototypes the retention has no effect; set visual_prototypes.sharing to shared, or remove "
            "retention",
            needed_values=("shared",),
        ),
    )
    consolidation: ConsolidationOptions = field(default_factory=ConsolidationOptions)
    fisher: FisherOptions = field(default_factory=FisherOptions)
    classification: ClassificationOptions = field(default_factory=ClassificationOptions)
    reconstruction: ReconstructionOptions = field(default_factory=ReconstructionOptions)
    latent_prototypes: LatentPrototypeOptions = field(default_factory=LatentPrototypeOptions)
    visual_prototypes: VisualPrototypeOptions = field(default_factory=VisualPrototypeOptions)
    saliency: SaliencyOptions = field(default_factory=SaliencyOptions)
    retention: RetentionOptions = field(default_factory=RetentionOptions)
    classifier: ClassifierOptions = field(default_factory=ClassifierOptions)

    @property
    def is_shared(self) -> bool:
        """Whether visual prototypes are stored in the version."""
        return self.visual_prototypes.sharing is PrototypeSharing.SHARED

    @property
    def active_retention(self) -> RetentionOptions:
        """The retention, with weight 0 where no visual prototype is stored."""
        return self.retention if self.is_shared else replace(self.retention, weight=0.0)

    @property
    def classifier_mode(self) -> ClassifierMode:
        """The classifier that answers, with ``auto`` resolved."""
        if self.classifier.mode is not ClassifierMode.AUTO:
            return self.classifier.mode
        return ClassifierMode.ROUTED if self.is_shared else ClassifierMode.LINEAR

    def __post_init__(self) -> None:
        check_rules("ewc_prototype", self, self.rules)
