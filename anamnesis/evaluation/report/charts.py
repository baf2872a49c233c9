"""Geometry of the curves: one small panel per site, one line per model. The template draws it as SVG."""

from dataclasses import dataclass

from anamnesis.evaluation.report.assemble import champion_lineage
from anamnesis.evaluation.report.data import ModelReport, ReportData

WIDTH, HEIGHT = 300, 170
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 10, 24
SERIES = 6
"""Line styles that the style sheet knows; more models repeat them."""


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One model in one panel: its style's number and its points, (x, y, text)."""

    style: int
    points: tuple[tuple[float, float, str], ...]

    @property
    def path(self) -> str:
        """The points in the format of SVG's ``polyline``."""
        return " ".join(f"{x},{y}" for x, y, _ in self.points)


@dataclass(frozen=True, slots=True)
class SitePanel:
    """One site.

    Attributes:
        site: its name.
        lines: models with at least one score.
        update_positions: x positions of the updates that learned this site.
        x_ticks: (x, text).
        y_ticks: (y, text).
        description: of the picture, for screen readers.
    """

    site: str
    lines: tuple[ChartLine, ...]
    update_positions: tuple[float, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    description: str


def site_panels(report: ReportData, metric: str) -> tuple[SitePanel, ...]:
    """Returns a panel for every site with a score; all share their axes, so that heights compare."""
    sites = dict.fromkeys(column.site for model in report.models for column in model.columns)
    updates = max((len(model.updates) for model in report.models), default=1)
    curves = {site: [_curve(model, metric, site) for model in report.models] for site in sites}
    scores = [score for lines in curves.values() for line in lines for _, score in line]
    if not scores:
        return ()
    floor = max(0.0, int(min(scores) * 5) / 5)
    return tuple(
        _build_panel(site, lines, updates=updates, floor=floor, report=report)
        for site, lines in curves.items()
        if any(lines)
    )


def _curve(model: ModelReport, metric: str, site: str) -> list[tuple[int, float]]:
    """Returns (row, score) along the lineage, from the site's first update on."""
    sites = [column.site for column in model.columns]
    rows = champion_lineage(model)
    learning_rows = [row for row in rows if model.updates[row].site == site]
    if site not in sites or not learning_rows or metric not in model.matrices:
        return []
    cells = [(row, model.matrices[metric][row][sites.index(site)]) for row in rows if row >= learning_rows[0]]
    return [(row, float(cell.value)) for row, cell in cells if cell is not None]


def _build_panel(
    site: str, curves: list[list[tuple[int, float]]], updates: int, floor: float, report: ReportData
) -> SitePanel:
    lines = tuple(
        ChartLine(
            i % SERIES,
            tuple((_x_position(row, updates), _y_position(score, floor), f"{score:.2f}") for row, score in curve),
        )
        for i, curve in enumerate(curves)
        if curve
    )
    learning_rows = {row for model in report.models for row, update in enumerate(model.updates) if update.site == site}
    tick_step = 0.2 if floor < 0.5 else 0.1 if floor < 0.8 else 0.05
    ticks = [floor + tick_step * tick_index for tick_index in range(round((1 - floor) / tick_step) + 1)]
    description = "; ".join(
        f"{model.method} from {curve[0][1]:.2f} to {curve[-1][1]:.2f}"
        for model, curve in zip(report.models, curves, strict=True)
        if curve
    )
    return SitePanel(
        site=site,
        lines=lines,
        update_positions=tuple(_x_position(row, updates) for row in sorted(learning_rows)),
        x_ticks=tuple((_x_position(row, updates), str(row + 1)) for row in range(updates)),
        y_ticks=tuple((_y_position(tick, floor), f"{tick:.2f}".rstrip("0").rstrip(".")) for tick in ticks),
        description=description,
    )


def _x_position(row: int, updates: int) -> float:
    share = row / (updates - 1) if updates > 1 else 0.5
    return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)


def _y_position(score: float, floor: float) -> float:
    share = (score - floor) / (1 - floor) if floor < 1 else 1.0
    return round(TOP + (1 - share) * (HEIGHT - TOP - BOTTOM), 1)
