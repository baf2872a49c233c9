"""Geometry of square plots: ROC curves and reliability diagrams. The template draws them as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from anamnesis.records import EvaluationDetails, ReliabilityBin, RocPoint

SIZE, LEFT, RIGHT, TOP, BOTTOM = 230, 38, 10, 8, 36
SERIES = 6
"""Line styles that the style sheet knows; more lines repeat them."""
MAXIMUM_CURVES = 6


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A line or, without a line, marks: its style's number, its name and its points, (x, y, text)."""

    style: int
    name: str
    points: tuple[tuple[float, float, str], ...]
    has_line: bool = True
    has_marks: bool = False

    @property
    def path(self) -> str:
        """The points in the format of SVG's ``polyline``."""
        return " ".join(f"{x},{y}" for x, y, _ in self.points)


@dataclass(frozen=True, slots=True)
class SquarePlot:
    """A plot of two shares.

    Attributes:
        title: below the plot.
        x_name: of the horizontal axis.
        y_name: of the vertical axis.
        lines: with their points.
        description: for screen readers.
    """

    title: str
    x_name: str
    y_name: str
    lines: tuple[PlotLine, ...]
    description: str

    @property
    def ticks(self) -> tuple[tuple[float, float, str], ...]:
        """(x, y, text) of the ticks on both axes."""
        return tuple((_x(share), _y(share), f"{share:g}") for share in (0.0, 0.5, 1.0))

    @property
    def diagonal(self) -> tuple[float, float, float, float]:
        """The line where both shares are equal."""
        return _x(0), _y(0), _x(1), _y(1)


def roc_plot(details: EvaluationDetails, operating_points: Sequence[tuple[float, float]]) -> SquarePlot | None:
    """Returns the ROC curves of a test set, or none where there is none.

    Args:
        details: of an evaluation.
        operating_points: (false positive rate, sensitivity) at the stored threshold, drawn as a mark.
    """
    curves = list(details.roc.items())[:MAXIMUM_CURVES]
    if not curves:
        return None
    lines = tuple(PlotLine(i % SERIES, name, _roc_points(points)) for i, (name, points) in enumerate(curves))
    marks = tuple((_x(rate), _y(share), f"threshold: sensitivity {share:.2f}") for rate, share in operating_points)
    at_threshold = (PlotLine(0, "stored threshold", marks, has_line=False, has_marks=True),) if marks else ()
    description = "; ".join(f"{name}: mean sensitivity {_mean(points):.2f}" for name, points in curves)
    return SquarePlot("ROC curve", "false positive rate", "sensitivity", (*lines, *at_threshold), description)


def reliability_plot(bins: Sequence[ReliabilityBin]) -> SquarePlot | None:
    """Returns the reliability diagram of a test set, or none without bins."""
    if not bins:
        return None
    points = tuple(
        (_x(item.confidence), _y(item.accuracy), f"confidence {item.confidence:.2f}, right {item.accuracy:.2f}")
        for item in bins
    )
    description = "; ".join(text for _, _, text in points)
    line = PlotLine(0, "bins of equal numbers of cases", points, has_marks=True)
    return SquarePlot("Reliability", "mean confidence", "share of right answers", (line,), description)


def _roc_points(points: Sequence[RocPoint]) -> tuple[tuple[float, float, str], ...]:
    """Returns the curve from the point where nothing is answered to the point where everything is."""
    inner = [
        (_x(point.false_positive_rate), _y(point.sensitivity), f"{point.sensitivity} at {point.false_positive_rate}")
        for point in points
    ]
    return ((_x(0), _y(0), ""), *inner, (_x(1), _y(1), ""))


def _mean(points: Sequence[RocPoint]) -> float:
    return float(sum(point.sensitivity for point in points)) / len(points)


def _x(share: float | Decimal) -> float:
    return round(LEFT + float(share) * (SIZE - LEFT - RIGHT), 1)


def _y(share: float | Decimal) -> float:
    return round(TOP + (1 - float(share)) * (SIZE - TOP - BOTTOM), 1)
