"""What one test set says of one version, by one evaluator. Numbers only, nothing per patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from anamnesis.records.codec import encode
from anamnesis.records.digests import digest_json


class EvaluationSet(StrEnum):
    """Which cases were judged."""

    FROZEN = "frozen"
    RECENT = "recent"
    """Newly labelled, before any training used them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One score.

    Attributes:
        value: exact decimal, as it was rounded when written (six places).
        low: lower end of the 95 % interval, where there is one.
        high: its upper end.
        n: how many cases it rests on.
    """

    value: Decimal
    n: int
    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Written once, beside the version.

    Attributes:
        version: digest of what was judged.
        site: whose test set.
        task: the task's name.
        test_set: digest of the cases.
        evaluator: digest of the evaluator's name, revision and settings.
        name: the evaluator: ``forgetting`` or ``saliency``.
        metrics: by name; ``forgetting`` gives ``Accuracy``, ``BalancedAccuracy``, ``AUROC`` (task-incremental) and
            ``ClassIncrementalAccuracy``; ``saliency`` gives ``IoU``, ``SSIM``, ``Cosine``, ``Spearman``.
        evaluation_set: frozen set or recent cases.
    """

    version: str
    site: str
    task: str
    test_set: str
    evaluator: str
    name: str
    metrics: Mapping[str, Metric]
    evaluation_set: EvaluationSet = EvaluationSet.FROZEN
    schema: int = field(default=1)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields."""
        return digest_json(encode(self))
