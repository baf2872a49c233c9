"""The rows of the comparison table: what is compared, in which direction, and what it means."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData


@dataclass(frozen=True, slots=True)
class Measure:
    """One row.

    Attributes:
        name: of the measure.
        meaning: in one sentence.
        higher_is_better: whether higher is better.
        values: one per model, none where not measured.
        texts: the values as they are shown.
    """

    name: str
    meaning: str
    higher_is_better: bool
    values: tuple[float | None, ...]
    texts: tuple[str, ...]

    def best_value(self, report: ReportData) -> float | None:
        """Returns the best value of those that are no upper bound, where they differ."""
        candidates = [v for v, m in zip(self.values, report.models, strict=True) if v is not None and not m.reference]
        return (max if self.higher_is_better else min)(candidates) if len(set(candidates)) > 1 else None


CONTINUAL_MEASURES = (
    (PRIMARY, "FinalAverage", "Final average", True, "Mean score over all sites, now."),
    ("ClassIncrementalAccuracy", "FinalAverage", "Without the site's name", True,
     "Mean share of cases for which the right class of all sites is found (class-incremental)."),
    (PRIMARY, "Forgetting", "Forgetting", False, "Best earlier score minus the score now, mean over earlier sites."),
    (PRIMARY, "WorstRetention", "Worst retention", True, "Share of its best score that the worst kept site has left."),
    (PRIMARY, "BackwardTransfer", "Backward transfer", True, "Score now minus score right after learning."),
    (PRIMARY, "ForwardTransfer", "Forward transfer", True, "Score on a site before learning it, above random weights."),
    (PRIMARY, "LearningAccuracy", "Learning", True, "Mean score on a site right after learning it."),
    (PRIMARY, "Intransigence", "Intransigence", False, "What joint training on all sites gains on a new site."),
    ("IoU", "SaliencyForgetting", "Saliency forgetting", False,
     "Share by which the model looks elsewhere on earlier sites' images (1 minus IoU)."),
)  # fmt: skip


def build_measures(report: ReportData) -> list[Measure]:
    """Returns the rows for which at least one model has a value; cost last."""
    rows = [
        _build_measure(report, name, meaning, higher_is_better, partial(_continual_metric, metric, key), _format_score)
        for metric, key, name, higher_is_better, meaning in CONTINUAL_MEASURES
    ]
    rows.append(
        _build_measure(report, "Training time", "Wall clock, all updates.", False, _training_seconds, format_duration)
    )
    rows.append(_build_measure(report, "Peak memory", "Largest of all updates.", False, _peak_memory, format_bytes))
    rows.append(
        _build_measure(report, "Stored", "All parts of the newest version.", False, _stored_bytes, format_bytes)
    )
    return [row for row in rows if any(value is not None for value in row.values)]


def format_duration(value: float) -> str:
    """Returns a duration for people."""
    minutes, remaining_seconds = divmod(round(value), 60)
    if value < 10:
        return f"{value:.1f} s"
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02d} min"
        if hours
        else f"{minutes} min {remaining_seconds:02d} s"
        if minutes
        else f"{remaining_seconds} s"
    )


def format_bytes(value: float) -> str:
    """Returns a number of bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 99.5 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _build_measure(
    report: ReportData,
    name: str,
    meaning: str,
    higher_is_better: bool,
    value_of: Callable[[ModelReport], float | None],
    format_value: Callable[[float], str],
) -> Measure:
    values = tuple(value_of(model) for model in report.models)
    return Measure(
        name,
        meaning,
        higher_is_better,
        values,
        tuple("\N{EN DASH}" if value is None else format_value(value) for value in values),
    )


def _continual_metric(metric: str, key: str, model: ModelReport) -> float | None:
    return model.continual.get(metric, {}).get(key)


def _format_score(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _costs(model: ModelReport) -> list[tuple[float, int, int]]:
    rows = [row.cost for row in model.updates if row.cost is not None]
    return [(cost.seconds, cost.peak_memory_bytes, cost.stored_bytes) for cost in rows]


def _training_seconds(model: ModelReport) -> float | None:
    return sum(row[0] for row in _costs(model)) if _costs(model) else None


def _peak_memory(model: ModelReport) -> float | None:
    return max((float(row[1]) for row in _costs(model)), default=None)


def _stored_bytes(model: ModelReport) -> float | None:
    return float(_costs(model)[-1][2]) if _costs(model) else None
