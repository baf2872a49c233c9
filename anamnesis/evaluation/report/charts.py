"""Geometry of the curves: one small panel per site, one line per model. The template draws it as SVG."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from anamnesis.evaluation.report.assemble import ancestor_rows, champion_lineage
from anamnesis.evaluation.report.data import PRIMARY, ModelReport, ReportData, UpdateRow
from anamnesis.evaluation.report.names import metric_head, unit_of
from anamnesis.evaluation.report.statements import describe_outcome
from anamnesis.records import metric_properties

WIDTH, HEIGHT = 300, 170
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 10, 24
SERIES = 6
"""Line styles that the style sheet knows; more models repeat them."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line of a panel: its style's number, its points (x, y, text), and hollow marks beside the line."""

    style: int
    points: tuple[tuple[float, float, str], ...]
    hollow: tuple[tuple[float, float, str], ...] = ()

    @property
    def path(self) -> str:
        """The points in the format of SVG's ``polyline``."""
        return " ".join(f"{x},{y}" for x, y, _ in self.points)


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: of the panel.
        lines: with at least one point.
        update_positions: x positions of the updates that learned this site.
        x_ticks: (x, text).
        y_ticks: (y, text).
        description: of the picture, for screen readers.
    """

    title: str
    lines: tuple[ChartLine, ...]
    update_positions: tuple[float, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    description: str


@dataclass(frozen=True, slots=True)
class _Axis:
    """The vertical axis of a panel: its ends and the distance of its ticks."""

    low: float
    high: float
    tick_step: float

    def y(self, score: float) -> float:
        """Returns the vertical position of a score."""
        return y_position((score - self.low) / (self.high - self.low) if self.high > self.low else 1.0)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """(y, text) of each tick."""
        steps = range(round((self.high - self.low) / self.tick_step) + 1)
        values = [self.low + self.tick_step * step for step in steps]
        return tuple((self.y(value), f"{value:.2f}".rstrip("0").rstrip(".")) for value in values)


@dataclass(frozen=True, slots=True)
class _Curve:
    """Scores of a model on a site: (row, score) along the lineage, and (row, score, text) of other updates."""

    lineage: list[tuple[int, float]]
    off_lineage: list[tuple[int, float, str]]

    @property
    def scores(self) -> list[float]:
        """All scores."""
        return [score for _, score in self.lineage] + [score for _, score, _ in self.off_lineage]


def site_panels(report: ReportData, metric: str) -> tuple[Panel, ...]:
    """Returns a panel for every site with a score; sites with one unit share their axes, so that heights compare."""
    columns = {column.site: column for model in report.models for column in model.columns}
    sites = {site: column.task.primary_metric if metric == PRIMARY else metric for site, column in columns.items()}
    updates = max((len(model.updates) for model in report.models), default=1)
    curves = {site: [_curve(model, metric, site) for model in report.models] for site in sites}
    shown = {site: lines for site, lines in curves.items() if any(curve.scores for curve in lines)}
    scores: dict[str, list[float]] = {}
    for site, lines in shown.items():
        scores.setdefault(unit_of(sites[site]), []).extend(score for curve in lines for score in curve.scores)
    axes = {unit: _axis(unit, unit_scores) for unit, unit_scores in scores.items()}
    return tuple(
        _build_panel(site, sites[site], lines, updates=updates, axis=axes[unit_of(sites[site])], report=report)
        for site, lines in shown.items()
    )


def _axis(unit: str, scores: list[float]) -> _Axis:
    """Returns the axis of scores: up to 1 for numbers without a unit, else from 0 to the highest one."""
    if unit:
        step = max(ceil(max(scores) / 5), 1)
        return _Axis(0.0, float(step * 5), float(step))
    floor = max(0.0, int(min(scores) * 5) / 5)
    return _Axis(floor, 1.0, 0.2 if floor < 0.5 else 0.1 if floor < 0.8 else 0.05)


def _curve(model: ModelReport, metric: str, site: str) -> _Curve:
    """Returns a model's scores from the site's first update on."""
    sites = [column.site for column in model.columns]
    if site not in sites or metric not in model.matrices:
        return _Curve([], [])
    lineage = [row for row in champion_lineage(model) if _was_in_use(model.updates[row], model.champion)]
    scores = [row[sites.index(site)] for row in model.matrices[metric]]
    values = {
        row: float(score.value) for row, score in enumerate(scores) if score is not None and _knows(model, row, site)
    }
    off_lineage = [
        (row, value, f"{value:.2f}, update {row + 1}: {describe_outcome(model.updates[row], model.champion)}")
        for row, value in values.items()
        if row not in lineage
    ]
    return _Curve([(row, value) for row, value in values.items() if row in lineage], off_lineage)


def _was_in_use(row: UpdateRow, champion: str) -> bool:
    """Whether a version became champion; also where nothing has judged it. Without a champion the last one may wait."""
    return row.promoted or row.version == champion or row.decision is None


def _knows(model: ModelReport, row: int, site: str) -> bool:
    return site in {model.updates[i].site for i in ancestor_rows(model.updates, model.updates[row].version)}


def _build_panel(site: str, metric: str, curves: list[_Curve], updates: int, axis: _Axis, report: ReportData) -> Panel:
    lines = tuple(
        ChartLine(
            i % SERIES,
            tuple((x_position(row, updates), axis.y(score), f"{score:.2f}") for row, score in curve.lineage),
            tuple((x_position(row, updates), axis.y(score), text) for row, score, text in curve.off_lineage),
        )
        for i, curve in enumerate(curves)
        if curve.lineage or curve.off_lineage
    )
    learning_rows = {row for model in report.models for row, update in enumerate(model.updates) if update.site == site}
    description = "; ".join(
        f"{model.method} from {curve.lineage[0][1]:.2f} to {curve.lineage[-1][1]:.2f}"
        for model, curve in zip(report.models, curves, strict=True)
        if curve.lineage
    )
    return Panel(
        title=f"{site} · {metric_head(metric)}" if metric_properties(metric).is_lower_better else site,
        lines=lines,
        update_positions=tuple(x_position(row, updates) for row in sorted(learning_rows)),
        x_ticks=tuple((x_position(row, updates), str(row + 1)) for row in _tick_rows(updates)),
        y_ticks=axis.ticks,
        description=description or "only updates that are not in use",
    )


def _tick_rows(count: int) -> range:
    """Returns the positions of at most 10 ticks."""
    return range(0, count, max(1, -(-count // 10)))


def x_position(row: int, count: int) -> float:
    """Returns the horizontal position of the row-th of ``count`` points."""
    share = row / (count - 1) if count > 1 else 0.5
    return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)


def y_position(share: float) -> float:
    """Returns the vertical position of a share of the height, 0 at the bottom."""
    return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)


def loss_terms(model: ModelReport) -> tuple[str, ...]:
    """Returns the names of the loss terms of all updates of a model."""
    return tuple(dict.fromkeys(name for row in model.updates for epoch in row.epoch_losses for name in epoch))


def loss_panels(model: ModelReport) -> tuple[Panel, ...]:
    """Returns a panel for every update with stored losses: one line a term, from 0 to the update's largest loss."""
    terms = loss_terms(model)
    return tuple(
        _loss_panel(f"Update {number} · {row.site}", row.epoch_losses, terms)
        for number, row in enumerate(model.updates, 1)
        if row.epoch_losses
    )


def _loss_panel(title: str, losses: tuple[Mapping[str, float], ...], terms: tuple[str, ...]) -> Panel:
    highest = max(value for epoch in losses for value in epoch.values()) or 1.0
    lines = []
    for style, term in enumerate(terms):
        points = [(epoch, values[term]) for epoch, values in enumerate(losses) if term in values]
        if points:
            places = tuple(
                (x_position(epoch, len(losses)), y_position(max(value, 0.0) / highest), f"{term} {value:.3g}")
                for epoch, value in points
            )
            lines.append(ChartLine(style % SERIES, places))
    first, last = losses[0], losses[-1]
    return Panel(
        title=title,
        lines=tuple(lines),
        update_positions=(),
        x_ticks=tuple((x_position(epoch, len(losses)), str(epoch + 1)) for epoch in _tick_rows(len(losses))),
        y_ticks=tuple((y_position(share), f"{share * highest:.2g}") for share in (0.0, 0.5, 1.0)),
        description="; ".join(
            f"{term} {first[term]:.3g} to {last[term]:.3g}" for term in terms if term in first and term in last
        )
        or "different terms in the first and the last epoch",
    )
