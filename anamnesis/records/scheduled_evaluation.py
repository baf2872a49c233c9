"""What a scheduled evaluation of the champion found."""

from dataclasses import dataclass, field
from decimal import Decimal

from anamnesis.records.evaluation import EvaluationSet, Metric


@dataclass(frozen=True, slots=True)
class Measurement:
    """The champion's primary metric on one set of cases, measured now.

    Attributes:
        site: whose cases.
        task: the task's name.
        evaluation_set: the frozen test set, or cases that no training of the champion's lineage has used.
        test_set: digest of the cases.
        metric: name of the primary metric.
        score: what was measured now.
        recorded_score: what the version's stored evaluation on the same frozen set says; none for recent cases.
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
        name: of the evaluation, unique within a model; the first result under a name counts.
        version: digest of the champion that was evaluated.
        scheduled_time: when it was due, UTC, ISO 8601.
        measurements: one per site and window that could be judged.
        site_errors: site -> why it could not be judged; words for people, no patient data.
    """

    name: str
    version: str
    scheduled_time: str
    measurements: tuple[Measurement, ...]
    site_errors: tuple[tuple[str, str], ...] = field(default=())
    schema: int = 1
