"""What a scheduled evaluation of the champion found."""

from dataclasses import dataclass, field
from decimal import Decimal

from anamnesis.records.evaluation import Metric, Window


@dataclass(frozen=True, slots=True)
class Measurement:
    """The champion's primary metric on one set of cases, measured now.

    Attributes:
        site: whose cases.
        task: the task's name.
        window: the frozen test set, or cases that no training of the champion's lineage has used.
        test_set: digest of the cases.
        metric: name of the primary metric.
        score: what was measured now.
        recorded: what the version's stored evaluation on the same frozen set says; none for recent cases.
    """

    site: str
    task: str
    window: Window
    test_set: str
    metric: str
    score: Metric
    recorded: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Monitoring:
    """One scheduled evaluation. Numbers only, nothing per patient.

    Attributes:
        name: of the evaluation, unique within a model; the first result under a name counts.
        version: digest of the champion that was evaluated.
        time: when it was due, UTC, ISO 8601.
        measurements: one per site and window that could be judged.
        problems: site -> why it could not be judged; words for people, no patient data.
    """

    name: str
    version: str
    time: str
    measurements: tuple[Measurement, ...]
    problems: tuple[tuple[str, str], ...] = field(default=())
    schema: int = 1
