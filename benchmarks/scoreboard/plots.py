"""Pictures for the page: accuracy over sites, retained saliency, and cost."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.scoreboard.result import RunResult
from benchmarks.scoreboard.rows import FEATURED_ROW, ROWS
from benchmarks.scoreboard.saliency_summary import summarise_saliency
from benchmarks.scoreboard.table import TableLine

HIDDEN_PREFIX = "ladder"
COLOURS = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
STYLES: Mapping[str, Mapping[str, Any]] = {
    **{row.label: {"color": COLOURS[index % len(COLOURS)]} for index, row in enumerate(ROWS)},
    FEATURED_ROW: {"color": "black", "linewidth": 2.5, "markersize": 7, "zorder": 3},
}
"""The style of each row, the same in all pictures; ours is drawn on top."""


def draw_pictures(sequence: str, lines: Sequence[TableLine], folder: Path) -> list[Path]:
    """Writes the pictures of a sequence as SVG, equal for equal results, and returns the paths; none without data."""
    drawn_lines = [line for line in lines if line.results and not line.row.label.startswith(HIDDEN_PREFIX)]
    drawers: Mapping[str, Callable[[Any, Sequence[TableLine]], bool]] = {
        "accuracy": _draw_accuracy,
        "saliency": _draw_saliency,
        "cost": _draw_cost,
    }
    paths: list[Path] = []
    if not drawn_lines:
        return paths
    for name, draw_axes in drawers.items():
        with mpl.rc_context({"svg.hashsalt": "anamnesis", "font.size": 8, "svg.fonttype": "none"}):
            figure = Figure(figsize=(7.2, 3.6), layout="constrained")
            axes = figure.subplots()
            if not draw_axes(axes, drawn_lines):
                continue
            path = folder / f"{sequence}-{name}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            paths.append(path)
    return paths


def _draw_accuracy(axes: Any, lines: Sequence[TableLine]) -> bool:
    """Mean class-incremental accuracy over the sites known so far, after each update; joint as a line across."""
    for line in lines:
        style = {"label": line.row.label, **STYLES[line.row.label]}
        rows = [_mean_by_update(result) for result in line.results]
        if len(rows[0]) == 1:
            axes.axhline(100 * mean(row[0] for row in rows), **style, linestyle="--")
            continue
        means = [100 * mean(column) for column in zip(*rows, strict=True)]
        axes.plot(range(1, len(means) + 1), means, **{"marker": "o", "markersize": 3, **style})
    axes.set(xlabel="sites learned", ylabel="accuracy on sites so far, %", ylim=(0, 101))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return bool(lines)


def _mean_by_update(result: RunResult) -> list[float]:
    offset = len(result.sites) - len(result.class_incremental)
    learned_scores = [
        [score for score in row[: offset + update + 1] if score is not None]
        for update, row in enumerate(result.class_incremental)
    ]
    return [mean(row) for row in learned_scores]


def _draw_saliency(axes: Any, lines: Sequence[TableLine]) -> bool:
    """Draws the learning of the head against the retention of its maps; where that does not count there is a cross."""
    for line in lines:
        saliency_summary, learning = summarise_saliency(line.results), line.head_learning
        if saliency_summary.iou and learning is not None:
            marker = "o" if line.learns else "x"
            axes.plot(learning, saliency_summary.iou.mean, marker, label=line.row.label, **STYLES[line.row.label])
    if not axes.lines:
        return False
    axes.axhline(0.111, color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="learning accuracy of the head, %", ylabel="saliency IoU on old sites", ylim=(0, 1.02))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return True


def _draw_cost(axes: Any, lines: Sequence[TableLine]) -> bool:
    """Draws seconds of learning against the size of a version after the last site."""
    for line in lines:
        seconds, size = line.values["seconds"], line.values["state kB"]
        if seconds and size:
            axes.plot(size.mean, seconds.mean, "o", label=line.row.label, **STYLES[line.row.label])
    axes.set(xlabel="stored after the last site, kB", ylabel="seconds of learning", xscale="log", yscale="log")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return bool(lines)
