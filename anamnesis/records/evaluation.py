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
    schema: int = 3

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))
