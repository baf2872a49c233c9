"""The scores of one version on one test set by one evaluator. Numbers only, nothing per patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json
from anamnesis.records.errors import InputError
from anamnesis.records.metric_names import PRECISION, RECALL
from anamnesis.records.signature import Signature

MINIMUM_CELL_PATIENTS = 10
"""A number about fewer patients leaves no site and is in no report."""
MINIMUM_TEST_PATIENTS = 30
"""Default of the gate: a task is judged where each class has so many test patients."""
_RECALL_PREFIX, _PRECISION_PREFIX = f"{RECALL}/", f"{PRECISION}/"


def recall_metric(class_name: str) -> str:
    """Returns the name of the metric that holds the recall of a class."""
    return f"{_RECALL_PREFIX}{class_name}"


def is_recall_metric(metric: str) -> bool:
    """Returns whether a metric is the recall of a class."""
    return metric.startswith(_RECALL_PREFIX)


def precision_metric(class_name: str) -> str:
    """Returns the name of the metric that holds the precision (positive predictive value) of a class."""
    return f"{_PRECISION_PREFIX}{class_name}"


class EvaluationSet(StrEnum):
    """The set of cases that was evaluated."""

    FROZEN = "frozen"
    RECENT = "recent"
    """Newly labelled cases that no training has used."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One score.

    Attributes:
        value: decimal, rounded to six places.
        n: number of cases.
        low: lower end of the 95 % interval over patients, where there is one.
        high: upper end of the 95 % interval over patients, where there is one.
        patients: number of their patients; 0 where it was not counted.
    """

    value: Decimal
    n: int
    low: Decimal | None = None
    high: Decimal | None = None
    patients: int = 0

    def __post_init__(self) -> None:
        _check_finite("score", self.value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much worse a version scores than a reference version on the same patients.

    Attributes:
        reference: digest of the reference version.
        metric: name of the metric.
        drop: score of the reference minus score of the version; the reverse for a metric where lower is better, so
            that a version with a drop above 0 is always worse. In the metric's unit; six places.
        standard_error: of the drop, over patients.
        effective_patients: how many independent patients give this standard error; patients with several images count
            by how much their images agree.
        patients: number of patients.
        losses: share of cases, or of pairs for ``AUROC``, that only the reference gets right; none for other means.
        gains: the same of the version.
    """

    reference: str
    metric: str
    drop: Decimal
    standard_error: Decimal
    effective_patients: Decimal
    patients: int
    losses: Decimal | None = None
    gains: Decimal | None = None

    def __post_init__(self) -> None:
        _check_finite(f"difference of {self.metric}", self.drop, self.standard_error)


def _check_finite(name: str, *values: Decimal | None) -> None:
    for value in values:
        if value is not None and not value.is_finite():
            raise InputError(
                f"{name}: expected a finite number, found {value}: the model's outputs are not numbers, or the stored "
                "evaluation was changed; run 'anamnesis registry verify', then train or evaluate again"
            )


class HeldOutSet(StrEnum):
    """The patients that an operating point comes from; nobody trains on them, and they are in no test set."""

    VALIDATION = "validation"
    """Of the update that learned the site."""
    CALIBRATION = "calibration"
    """The site's frozen calibration set."""


class ThresholdRule(StrEnum):
    """How a threshold was chosen."""

    SENSITIVITY = "sensitivity"
    """The highest specificity at a sensitivity of 0.90 or more."""
    BALANCED_ACCURACY = "balanced_accuracy"
    """The highest balanced accuracy: there were fewer than 30 positive patients."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How the outputs of a version become answers at a site.

    Attributes:
        site: name of the site.
        task: name of its task.
        source: the held-out patients that it was fitted on.
        patients: their number.
        cases: number of their cases.
        temperature: the logits of the task's own classes are divided by it.
        threshold: the second of two classes is the answer from this probability on, after the temperature; none for
            other numbers of classes, and where a class is missing.
        threshold_rule: how the threshold was chosen; none without a threshold.
        distance_limit: an image whose distance to the site is larger gets no answer; none where it was not measured.
    """

    site: str
    task: str
    source: HeldOutSet
    patients: int
    cases: int
    temperature: Decimal
    threshold: Decimal | None = None
    threshold_rule: ThresholdRule | None = None
    distance_limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RocPoint:
    """One point of a ROC curve: sensitivity at a false positive rate."""

    false_positive_rate: Decimal
    sensitivity: Decimal


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases with similar confidence: the mean confidence, and the share of right answers. At least 10 patients."""

    confidence: Decimal
    accuracy: Decimal
    cases: int


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The scores of the cases that share the value of an attribute, such as a band of ages; at least 10 patients.

    Attributes:
        attribute: its name.
        value: its value or band.
        patients: number of patients.
        metrics: scores by name.
    """

    attribute: str
    value: str
    patients: int
    metrics: Mapping[str, Metric]


@dataclass(frozen=True, slots=True)
class EvaluationDetails:
    """Tables and curves of a classification for reports. No number is about fewer than 10 patients.

    Attributes:
        classes: names of the task's classes, in order.
        confusion: cases by true class (rows) and answered class (columns, at the stored threshold); none where masked.
        roc: class -> points of its ROC curve against the other classes.
        reliability: bins of equal numbers of cases.
        subgroups: by attribute and value.
    """

    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int | None, ...], ...] = ()
    roc: Mapping[str, tuple[RocPoint, ...]] = field(default_factory=dict)
    reliability: tuple[ReliabilityBin, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The evaluation of a version on a test set; stored once, next to the version.

    Attributes:
        version: digest of the evaluated version.
        site: the site of the test set.
        task: the task's name.
        test_set: digest of the test set.
        evaluator: digest of the evaluator's name, revision and settings.
        name: the evaluator: ``forgetting`` or ``saliency``.
        metrics: by name; ``forgetting`` gives ``Accuracy``, ``BalancedAccuracy``, ``AUROC``, ``CalibrationError``,
            ``CalibrationSlope``, ``Recall/<class>`` and ``Precision/<class>`` for each class with enough patients
            (task-incremental), ``ClassIncrementalAccuracy``, ``SiteInferred`` and ``Abstained``; for other types of
            tasks the metrics of the registry (``metrics.py``); ``saliency`` gives ``IoU``, ``SSIM``, ``Cosine``,
            ``Spearman``, or nothing where the network has no saliency maps.
        evaluation_set: frozen test set or recent cases.
        signature: of the run; none where the model has no signing keys.
        patients: number of patients of these cases; 0 where it was not counted.
        class_patients: number of patients of the class with the fewest; none where it was not counted, such as for a
            task without classes. A number below
            ``MINIMUM_CELL_PATIENTS`` is stored as the number just below it.
        operating_point: how its answers were made; none where no held-out patients were large enough.
        differences: paired differences to the base and to the first accepted version that learned the site.
        details: tables and curves for reports; none for other tasks than classification.
        look: which candidate of its base on this test set it is: 1, 2, 3, ...; 0 where it was not counted.
        schema: schema of this record.
    """

    version: str
    site: str
    task: str
    test_set: str
    evaluator: str
    name: str
    metrics: Mapping[str, Metric]
    evaluation_set: EvaluationSet = EvaluationSet.FROZEN
    signature: Signature | None = None
    patients: int = 0
    class_patients: int | None = None
    operating_point: OperatingPoint | None = None
    differences: tuple[PairedDifference, ...] = ()
    details: EvaluationDetails | None = None
    look: int = 0
    schema: int = 4

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))
