"""The accuracy matrices as tables of coloured cells."""

from dataclasses import dataclass

from anamnesis.evaluation.report.assemble import ancestry, lineage
from anamnesis.evaluation.report.data import PRIMARY, Column, ModelReport
from anamnesis.evaluation.report.shades import shade
from anamnesis.records import Metric

MATRICES = (
    (PRIMARY, "Told the site", "Each site's own question and primary metric (task-incremental)."),
    ("ClassIncrementalAccuracy", "Not told the site", "Right class among those of all sites (class-incremental)."),
)
"""What the page draws: metric, title, explanation."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One score as it is shown.

    Attributes:
        metric: none where there is no score.
        style: background and text colour.
        own: whether the row's update learned the column's site.
        learned: whether the version knew the site at all.
    """

    metric: Metric | None
    style: str
    own: bool
    learned: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One update.

    Attributes:
        number: from 1.
        site: that it learned.
        in_use: whether the version in use descends from it.
        cells: one per column.
    """

    number: int
    site: str
    in_use: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One matrix.

    Attributes:
        title: of the table.
        note: what its scores are.
        heads: per column its site, and its metric with the number of cases.
        rows: one per update.
    """

    title: str
    note: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def heat_maps(model: ModelReport) -> list[HeatMap]:
    """Returns the matrices that the model has, the primary one first."""
    return [_heat_map(model, metric, title, note) for metric, title, note in MATRICES if metric in model.matrices]


def _heat_map(model: ModelReport, metric: str, title: str, note: str) -> HeatMap:
    scores, way = model.matrices[metric], lineage(model)
    heads = tuple(
        (column.site, _head(column, metric, [row[i] for row in scores])) for i, column in enumerate(model.columns)
    )
    rows = tuple(
        Row(
            i + 1,
            update.site,
            i in way,
            tuple(_cell(model, i, column, cell) for column, cell in zip(model.columns, scores[i], strict=True)),
        )
        for i, update in enumerate(model.updates)
    )
    return HeatMap(title, note, heads, rows)


def _head(column: Column, metric: str, cells: list[Metric | None]) -> str:
    name = column.task.primary_metric if metric == PRIMARY else "Accuracy"
    sizes = [cell.n for cell in cells if cell is not None]
    return f"{name}, n = {sizes[-1]}" if sizes else name


def _cell(model: ModelReport, row: int, column: Column, metric: Metric | None) -> Cell:
    known = {model.updates[i].site for i in ancestry(model.updates, model.updates[row].version)}
    style = "" if metric is None else "background:{};color:{}".format(*shade(float(metric.value)))
    return Cell(metric, style, model.updates[row].site == column.site, column.site in known)
