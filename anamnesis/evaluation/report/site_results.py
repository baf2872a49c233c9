"""The results of one version at one site, as the tables and plots of the page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from anamnesis.evaluation.report.assemble import shown_rows
from anamnesis.evaluation.report.data import ModelReport, SiteColumn
from anamnesis.evaluation.report.names import metric_head
from anamnesis.evaluation.report.plots import SquarePlot, reliability_plot, roc_plot
from anamnesis.records import (
    Evaluation,
    EvaluationDetails,
    HeldOutSet,
    Metric,
    OperatingPoint,
    Subgroup,
    TaskType,
    ThresholdRule,
    precision_metric,
    primary_metrics,
    recall_metric,
)
from anamnesis.records.metric_names import (
    ABSTAINED,
    CALIBRATION_ERROR,
    CALIBRATION_SLOPE,
    CLASS_INCREMENTAL_ACCURACY,
    SITE_INFERRED,
)

_ANSWERS = {
    CLASS_INCREMENTAL_ACCURACY: "right class without the site, among the classes of all sites",
    SITE_INFERRED: "site inferred: answered with this site's classes, without the site",
    ABSTAINED: "abstained: no answer, because the image is unlike the learned sites",
}
_CALIBRATION = {CALIBRATION_ERROR: "expected calibration error", CALIBRATION_SLOPE: "calibration slope"}
_RULES = {
    ThresholdRule.SENSITIVITY: "highest specificity at a sensitivity of 0.90 or more",
    ThresholdRule.BALANCED_ACCURACY: "highest balanced accuracy",
}
_SOURCES = {HeldOutSet.VALIDATION: "validation patients", HeldOutSet.CALIBRATION: "calibration patients"}


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: its recall and its precision at the stored threshold; none where it is not published."""

    name: str
    recall: Metric | None
    precision: Metric | None


@dataclass(frozen=True, slots=True)
class SubgroupTable:
    """The subgroups of one attribute: names of the metrics and one row a value."""

    attribute: str
    metrics: tuple[str, ...]
    rows: tuple[Subgroup, ...]


@dataclass(frozen=True, slots=True)
class SiteResults:
    """The results of one version at one site.

    Attributes:
        column: site, task and modality.
        version: digest.
        patients: of the test set; 0 where it was not counted.
        cases: their images.
        scores: (name, score) of the whole test set.
        answers: (name, score) of answers without the site, and of abstained images.
        calibration: (name, score).
        point: text on temperature and threshold; empty where the version has none.
        classes: one row a class.
        two_class: (name, score): sensitivity, specificity and predictive values; empty for other numbers of classes.
        confusion: matrix with the names of its classes; none where there is none.
        shares: rows of (class, share of each answer) of a task with two classes whose matrix is masked; they follow
            from the recalls.
        roc: ROC plot.
        reliability: reliability diagram.
        subgroups: one table an attribute.
        look: how many candidates were scored on the test set so far; 0 where it was not counted.
    """

    column: SiteColumn
    version: str
    patients: int
    cases: int
    scores: tuple[tuple[str, Metric], ...]
    answers: tuple[tuple[str, Metric], ...]
    calibration: tuple[tuple[str, Metric], ...]
    point: str
    classes: tuple[ClassRow, ...]
    two_class: tuple[tuple[str, Metric], ...]
    confusion: EvaluationDetails | None
    shares: tuple[tuple[str, tuple[Decimal, Decimal]], ...]
    roc: SquarePlot | None
    reliability: SquarePlot | None
    subgroups: tuple[SubgroupTable, ...]
    look: int

    @property
    def has_classes(self) -> bool:
        """Whether answers are classes: only these have temperatures, thresholds and a calibration."""
        return self.column.task.type is TaskType.CLASSIFICATION


def site_results(model: ModelReport) -> list[tuple[str, list[SiteResults]]]:
    """Returns (version, its results at each site): of the version in use, then of one that waits."""
    results = [(row.version, list(_version_results(model, row.version))) for row in shown_rows(model)]
    return [(version, sites) for version, sites in results if sites]


def _version_results(model: ModelReport, version: str) -> Iterator[SiteResults]:
    for column in model.columns:
        evaluations = [item for item in model.evaluations if (item.version, item.site) == (version, column.site)]
        evaluation = next((item for item in reversed(evaluations) if item.name == "forgetting"), None)
        if evaluation is not None:
            yield _site_results(column, evaluation)


def _site_results(column: SiteColumn, evaluation: Evaluation) -> SiteResults:
    metrics, details = evaluation.metrics, evaluation.details
    classes = tuple(
        ClassRow(name, metrics.get(recall_metric(name)), metrics.get(precision_metric(name)))
        for name in column.task.classes
    )
    has_numbers = details is not None and any(cell is not None for row in details.confusion for cell in row)
    two_class = _two_class_rows(classes)
    first_metrics = dict.fromkeys((column.task.primary_metric, *primary_metrics(column.task.type)))
    return SiteResults(
        column=column,
        version=evaluation.version,
        patients=evaluation.patients,
        cases=max((metric.n for metric in metrics.values()), default=0),
        scores=tuple((metric_head(name), metrics[name]) for name in first_metrics if name in metrics),
        answers=tuple((text, metrics[name]) for name, text in _ANSWERS.items() if name in metrics),
        calibration=tuple((text, metrics[name]) for name, text in _CALIBRATION.items() if name in metrics),
        point=_describe_point(evaluation.operating_point, column),
        classes=classes if any(row.recall or row.precision for row in classes) else (),
        two_class=two_class,
        confusion=details if has_numbers else None,
        shares=() if has_numbers else _share_rows(classes),
        roc=roc_plot(details, _operating_points(dict(two_class))) if details else None,
        reliability=reliability_plot(details.reliability) if details else None,
        subgroups=_subgroup_tables(details),
        look=evaluation.look,
    )


def _two_class_rows(classes: tuple[ClassRow, ...]) -> tuple[tuple[str, Metric], ...]:
    """Returns the measures of a test with two answers; the second class is the positive one."""
    if len(classes) != 2:
        return ()
    negative, positive = classes
    rows = (
        (f"sensitivity ({positive.name})", positive.recall),
        (f"specificity ({negative.name})", negative.recall),
        (f"positive predictive value ({positive.name})", positive.precision),
        (f"negative predictive value ({negative.name})", negative.precision),
    )
    return tuple((name, metric) for name, metric in rows if metric is not None)


def _share_rows(classes: tuple[ClassRow, ...]) -> tuple[tuple[str, tuple[Decimal, Decimal]], ...]:
    recalls = [row.recall.value for row in classes if row.recall is not None]
    if len(classes) != 2 or len(recalls) != 2:
        return ()
    return (classes[0].name, (recalls[0], 1 - recalls[0])), (classes[1].name, (1 - recalls[1], recalls[1]))


def _operating_points(two_class: Mapping[str, Metric]) -> list[tuple[float, float]]:
    shares = {name.partition(" (")[0]: float(metric.value) for name, metric in two_class.items()}
    if not {"sensitivity", "specificity"} <= set(shares):
        return []
    return [(1 - shares["specificity"], shares["sensitivity"])]


def _describe_point(point: OperatingPoint | None, column: SiteColumn) -> str:
    if point is None:
        return ""
    source = f"{point.patients} {_SOURCES[point.source]}"
    text = f"temperature {point.temperature:.2f}"
    if point.threshold is not None:
        rule = f" ({_RULES[point.threshold_rule]})" if point.threshold_rule else ""
        text += f"; {column.task.classes[1]} from a probability of {point.threshold:.3f}{rule}"
    return f"{text}; from {source}"


def _subgroup_tables(details: EvaluationDetails | None) -> tuple[SubgroupTable, ...]:
    groups = details.subgroups if details else ()
    tables = []
    for attribute in dict.fromkeys(group.attribute for group in groups):
        rows = tuple(group for group in groups if group.attribute == attribute)
        tables.append(
            SubgroupTable(attribute, tuple(dict.fromkeys(name for row in rows for name in row.metrics)), rows)
        )
    return tuple(tables)


def calibration_is_off(results: SiteResults) -> bool:
    """Whether a test set of at least 100 patients shows that the probabilities are off: not by its noise alone.

    The error is above 0.05 and its interval above 0, as at the gate, or the whole interval of the slope is outside of
    0.8 to 1.25.
    """
    scores = dict(results.calibration)
    error, slope = (scores.get(name) for name in _CALIBRATION.values())
    is_error_high = error is not None and error.value > Decimal("0.05") and error.low != 0
    is_slope_off = slope is not None and (
        (slope.value if slope.high is None else slope.high) < Decimal("0.8")
        or (slope.value if slope.low is None else slope.low) > Decimal("1.25")
    )
    return results.patients >= 100 and (is_error_high or is_slope_off)
