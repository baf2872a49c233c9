"""The accuracy matrices as tables of coloured cells."""

from dataclasses import dataclass

from anamnesis.evaluation.report.assemble import ancestor_rows, champion_lineage
from anamnesis.evaluation.report.colours import shade
from anamnesis.evaluation.report.data import PRIMARY, ModelReport
from anamnesis.evaluation.report.names import metric_head
from anamnesis.records import Metric, metric_properties
from anamnesis.records.metric_names import ACCURACY, AUROC, CLASS_INCREMENTAL_ACCURACY

MATRICES = (
    (PRIMARY, "Site given", "Each site's own classes and primary metric (task-incremental)."),
    (CLASS_INCREMENTAL_ACCURACY, "Site not given", "Right class among the classes of all sites (class-incremental)."),
)
"""The matrices of the page: metric, title, explanation."""

CHANCE_AUROC = 0.5
"""AUROC of a random answer. It is as pale as an accuracy of 0."""


@dataclass(frozen=True, slots=True)
class HeatMapCell:
    """One cell.

    Attributes:
        metric: none where there is no score.
        style: background and text colour.
        is_learned_site: whether the row's update learned the column's site.
        is_known_site: whether the version knew the site at all.
    """

    metric: Metric | None
    style: str
    is_learned_site: bool
    is_known_site: bool


@dataclass(frozen=True, slots=True)
class HeatMapRow:
    """One update.

    Attributes:
        number: of the update, from 1.
        site: of the update.
        is_in_use: whether the version in use descends from it.
        cells: one per column.
    """

    number: int
    site: str
    is_in_use: bool
    cells: tuple[HeatMapCell, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One matrix.

    Attributes:
        title: of the table.
        note: the meaning of its scores.
        heads: per column its site, its metric, and the numbers of patients and images.
        rows: one per update.
    """

    title: str
    note: str
    heads: tuple[tuple[str, str, str], ...]
    rows: tuple[HeatMapRow, ...]


def heat_maps(model: ModelReport) -> list[HeatMap]:
    """Returns the matrices that the model has, the primary one first."""
    return [_heat_map(model, metric, title, note) for metric, title, note in MATRICES if metric in model.matrices]


def _heat_map(model: ModelReport, metric: str, title: str, note: str) -> HeatMap:
    names = [column.task.primary_metric if metric == PRIMARY else ACCURACY for column in model.columns]
    scores, champion_rows = model.matrices[metric], champion_lineage(model)
    rows = tuple(
        HeatMapRow(number, update.site, number - 1 in champion_rows, _cells(model, number - 1, cells, names))
        for number, (update, cells) in enumerate(zip(model.updates, scores, strict=True), 1)
    )
    heads = zip(model.columns, names, zip(*scores, strict=True), strict=True)
    return HeatMap(
        title, note, tuple((column.site, metric_head(name), _cases(cells)) for column, name, cells in heads), rows
    )


def _cases(cells: tuple[Metric | None, ...]) -> str:
    measured = [cell for cell in cells if cell is not None]
    if not measured:
        return ""
    images = f"{measured[-1].n} images"
    return f"{measured[-1].patients} patients, {images}" if measured[-1].patients else images


def _cells(
    model: ModelReport, row: int, metrics: tuple[Metric | None, ...], names: list[str]
) -> tuple[HeatMapCell, ...]:
    update = model.updates[row]
    known_sites = {model.updates[i].site for i in ancestor_rows(model.updates, update.version)}
    return tuple(
        HeatMapCell(metric, _style(metric, name), update.site == column.site, column.site in known_sites)
        for column, metric, name in zip(model.columns, metrics, names, strict=True)
    )


def _style(metric: Metric | None, name: str) -> str:
    if metric is None:
        return ""
    floor = CHANCE_AUROC if name == AUROC else 0.0
    grade = metric_properties(name).grade(float(metric.value))
    return "background:{};color:{}".format(*shade((grade - floor) / (1 - floor)))
