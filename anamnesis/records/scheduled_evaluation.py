"""The result of a scheduled evaluation of the champion."""

from dataclasses import dataclass, field
from decimal import Decimal

from anamnesis.records.evaluation import EvaluationSet, Metric
from anamnesis.records.signature import Signature


@dataclass(frozen=True, slots=True)
class Measurement:
    """The champion's primary metric on one set of cases.

    Attributes:
        site: the site of the cases.
        task: the task's name.
        evaluation_set: the frozen test set, or recent cases that no training of the champion's lineage has used.
        test_set: digest of the cases.
        metric: name of the primary metric.
        score: the score that this evaluation measured.
        recorded_score: the score of the version's stored evaluation on the same frozen set; none for recent cases.
    """

    site: str
    task: str
    evaluation_set: EvaluationSet
    test_set: str
    metric: str
    score: Metric
    recorded_score: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ScheduledEvaluation:
    """One scheduled evaluation. Numbers only, nothing per patient.

    Attributes:
        name: name of the evaluation, unique within a model; the first result under a name counts.
        version: digest of the champion that was evaluated.
        scheduled_time: when the evaluation was due, UTC, ISO 8601.
        measurements: one for each site and evaluation set that could be evaluated.
        site_errors: site -> why it could not be evaluated; words for people, no patient data.
        signature: of the run; none where the model has no signing keys.
        schema: schema of this record.
    """

    name: str
    version: str
    scheduled_time: str
    measurements: tuple[Measurement, ...]
    site_errors: tuple[tuple[str, str], ...] = field(default=())
    signature: Signature | None = None
    schema: int = 4
