"""The scores of one version on one test set by one evaluator. Numbers only, nothing per patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json
from anamnesis.records.signature import Signature

MINIMUM_CELL_PATIENTS = 10
"""A number about fewer patients leaves no site and is in no report."""
MINIMUM_TEST_PATIENTS = 30
"""Default of the gate: a task is judged where each class has so many test patients."""
_RECALL_PREFIX = "Recall/"


def recall_metric(class_name: str) -> str:
    """Returns the name of the metric that holds the recall of a class."""
    return f"{_RECALL_PREFIX}{class_name}"


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
        low: lower end of the 95 % interval, where there is one.
        high: upper end of the 95 % interval, where there is one.
    """

    value: Decimal
    n: int
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and threshold of a version at a site. They come from patients who were neither trained on nor tested.

    Attributes:
        calibration_set: digest of the site's frozen calibration set.
        cases: its number of cases.
        temperature: the logits of the task's own classes are divided by it.
        threshold: the second of two classes is the answer from this probability on, after the temperature; none for
            other numbers of classes, and where the set lacks a class.
        error_before: expected calibration error on the test set with the temperature 1.
        error_after: the same with this temperature.
    """

    calibration_set: str
    cases: int
    temperature: Decimal
    threshold: Decimal | None
    error_before: Decimal
    error_after: Decimal


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
        metrics: by name; ``forgetting`` gives ``Accuracy``, ``BalancedAccuracy``, ``AUROC`` (task-incremental) and
            ``ClassIncrementalAccuracy``, and ``Recall/<class>`` for each class with enough patients; ``saliency`` gives
            ``IoU``, ``SSIM``, ``Cosine``, ``Spearman``, or nothing where the network has no saliency maps.
        evaluation_set: frozen test set or recent cases.
        signature: of the run; none where the model has no signing keys.
        patients: number of patients of these cases; 0 where it was not counted.
        class_patients: number of patients of the class with the fewest; none where it was not counted. A number below
            ``MINIMUM_CELL_PATIENTS`` is stored as the number just below it.
        calibration: temperature and threshold; none where the site has no calibration set.
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
    calibration: Calibration | None = None
    schema: int = 3

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))
