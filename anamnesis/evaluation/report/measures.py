"""The rows of the comparison table: measures, their better direction and their meaning."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData
from anamnesis.records.metric_names import CLASS_INCREMENTAL_ACCURACY, IOU


@dataclass(frozen=True, slots=True)
class Measure:
    """One row.

    Attributes:
        name: of the measure.
        meaning: in one sentence.
        higher_is_better: whether a higher value is better.
        values: one per model, none where not measured.
        texts: the formatted values.
    """

    name: str
    meaning: str
    higher_is_better: bool
    values: tuple[float | None, ...]
    texts: tuple[str, ...]

    def best_value(self, report: ReportData) -> float | None:
        """Returns the best value without the upper bounds, or none where all values are equal."""
        candidates = [v for v, m in zip(self.values, report.models, strict=True) if v is not None and not m.reference]
        return (max if self.higher_is_better else min)(candidates) if len(set(candidates)) > 1 else None


@dataclass(frozen=True, slots=True)
class MeasureDefinition:
    """How a measure is computed and shown.

    Attributes:
        name: of the measure.
        meaning: in one sentence.
        higher_is_better: whether a higher value is better.
        value_of: returns a model's value, or none where not measured.
        format_value: returns the text of a value.
    """

    name: str
    meaning: str
    higher_is_better: bool
    value_of: Callable[[ModelReport], float | None]
    format_value: Callable[[float], str]

    def measure(self, report: ReportData) -> Measure:
        """Returns the row of this measure."""
        values = tuple(self.value_of(model) for model in report.models)
        texts = tuple("\N{EN DASH}" if value is None else self.format_value(value) for value in values)
        return Measure(self.name, self.meaning, self.higher_is_better, values=values, texts=texts)


CONTINUAL_MEASURES = (
    (PRIMARY, "FinalAverage", "Final average", True, "Mean current score over all sites."),
    (CLASS_INCREMENTAL_ACCURACY, "FinalAverage", "Without the site's name", True,
     "Mean share of cases with the right class among the classes of all sites (class-incremental)."),
    (PRIMARY, "Forgetting", "Forgetting", False,
     "How much worse the current score is than the best earlier one: mean of earlier sites."),
    (CLASS_INCREMENTAL_ACCURACY, "Forgetting", "Forgetting without the site's name", False,
     "The same for the share of cases with the right class among the classes of all sites (class-incremental)."),
    (PRIMARY, "WorstRetention", "Worst retention", True,
     "Share of its best score that an earlier site still has, lowest value of the earlier sites."),
    (PRIMARY, "BackwardTransfer", "Backward transfer", True,
     "How much better the current score is than right after learning, mean over earlier sites."),
    (PRIMARY, "ForwardTransfer", "Forward transfer", True,
     "How much better the score on a site before learning it is than that of random weights."),
    (PRIMARY, "LearningAccuracy", "Learning", True, "Mean score on a site right after learning it."),
    (PRIMARY, "Intransigence", "Intransigence", False,
     "How much better joint training scores than this method, right after learning a site."),
    (IOU, "SaliencyForgetting", "Saliency forgetting", False,
     "How far the saliency maps of earlier sites have moved: mean of 1 \N{MINUS SIGN} IoU over these sites."),
)  # fmt: skip


_SCORES = ("FinalAverage", "LearningAccuracy")
"""Measures that are scores themselves, and not differences."""


def _is_lower_better(report: ReportData) -> bool:
    """Whether lower scores are better; scores of different directions have no mean."""
    return any(column.task.metric.is_lower_better for model in report.models for column in model.columns)


def build_measures(report: ReportData) -> list[Measure]:
    """Returns the measures with a value for at least one model; the costs are last."""
    continual = [
        MeasureDefinition(
            name,
            meaning,
            higher_is_better and not (key in _SCORES and metric == PRIMARY and _is_lower_better(report)),
            value_of=partial(_continual_metric, metric, key),
            format_value=_format_score,
        )
        for metric, key, name, higher_is_better, meaning in CONTINUAL_MEASURES
    ]
    measures = [definition.measure(report) for definition in (*continual, *_cost_measures())]
    return [measure for measure in measures if any(value is not None for value in measure.values)]


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


def _cost_measures() -> tuple[MeasureDefinition, ...]:
    time, size = format_duration, format_bytes
    return (
        MeasureDefinition(
            "Training time", "Wall-clock time of all updates.", False, _training_seconds, format_value=time
        ),
        MeasureDefinition("Peak memory", "Largest value of all updates.", False, _peak_memory, format_value=size),
        MeasureDefinition("Stored", "All parts of the newest version.", False, _stored_bytes, format_value=size),
    )


def _continual_metric(metric: str, key: str, model: ModelReport) -> float | None:
    return model.compared.get(metric, {}).get(key)


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
