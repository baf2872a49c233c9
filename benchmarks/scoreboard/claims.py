"""The claims of the page, with numbers and a verdict: a claim holds where its interval excludes the contrary."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean

from benchmarks.scoreboard.intervals import paired_difference
from benchmarks.scoreboard.result import RunResult
from benchmarks.scoreboard.rows import (
    FEATURED_ROW,
    FROZEN_FEATURES,
    NETWORK_PER_SITE,
    OPENS_ALL_DATA,
    ORDERS,
    STORES_IMAGES,
)
from benchmarks.scoreboard.run_intervals import Interval, RunKey, difference_over_runs, mean_over_runs
from benchmarks.scoreboard.saliency_summary import retained_iou
from benchmarks.scoreboard.summary import summarise
from benchmarks.scoreboard.table import TableLine, mean_and_deviation

Tables = Mapping[str, Mapping[str, TableLine]]
"""Lines by sequence and label."""

CLASS_INCREMENTAL = "class-incremental"
MINIMUM_ACCURACY, MINIMUM_TRANSFER = 82.0, -1.0
"""Points: of accuracy on *modality*, and of backward transfer."""
RIVALS = ("EWC", "LwF", "frozen_ridge, random", "frozen_ridge, first task")


class ClaimResult(StrEnum):
    """What the runs say about a claim."""

    HOLDS = "holds"
    """The whole interval is on its side."""
    NOT_SETTLED = "not settled"
    """The interval has both sides; also where one run has no interval."""
    FALLS_SHORT = "**falls short**"
    DOES_NOT_COUNT = "does not count"
    """The other row is at or below chance, so it is not a rival."""
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """A claim and its verdict.

    Attributes:
        claim: one sentence.
        verdict: see ``ClaimResult``.
        numbers: the numbers behind the verdict.
    """

    claim: str
    verdict: ClaimResult
    numbers: str


def judge_claims(tables: Tables) -> tuple[ClaimVerdict, ...]:
    """Returns every claim's verdict, in the order of the page."""
    return (
        _judge_accuracy(tables),
        *(_judge_above(tables, FEATURED_ROW, rival) for rival in RIVALS),
        _judge_retention(tables),
        _judge_backward_transfer(tables, "site"),
        _judge_backward_transfer(tables, "shift"),
        _judge_forgetting(tables),
        _judge_above(tables, "joint", "fine-tune"),
        _judge_above(tables, "frozen_ridge, random", "fine-tune"),
    )


def judge_interval(interval: Interval, limit: float = 0.0) -> ClaimResult:
    """Returns whether a value is above a limit: settled where the interval does not have both sides."""
    _, low, high = interval
    return ClaimResult.HOLDS if low > limit else ClaimResult.FALLS_SHORT if high < limit else ClaimResult.NOT_SETTLED


def _runs(tables: Tables, sequence: str, label: str) -> Sequence[RunResult]:
    line = tables.get(sequence, {}).get(label)
    return line.results if line else ()


def _values(runs: Sequence[RunResult], name: str) -> dict[RunKey, float]:
    values = {(run.setting.seed, run.setting.order): summarise(run).values[name] for run in runs}
    return {key: value for key, value in values.items() if value is not None}


def _judge_accuracy(tables: Tables) -> ClaimVerdict:
    claim = (
        f"On *modality*, class-incremental and without a stored image, `{FEATURED_ROW}` reaches "
        f"{MINIMUM_ACCURACY:.0f} %."
    )
    interval = mean_over_runs(_values(_runs(tables, "modality", FEATURED_ROW), CLASS_INCREMENTAL))
    if interval is None:
        return ClaimVerdict(claim, ClaimResult.NOT_MEASURED, "not run")
    return ClaimVerdict(claim, judge_interval(interval, MINIMUM_ACCURACY), _format_interval(interval, ".1f"))


def _judge_above(tables: Tables, label: str, rival: str) -> ClaimVerdict:
    """Judges by the paired difference over runs and patients; a rival at chance does not count."""
    claim = f"On *modality*, `{label}` is above `{rival}` in class-incremental accuracy."
    runs, rival_runs = (_runs(tables, "modality", name) for name in (label, rival))
    difference = paired_difference(runs, rival_runs, "class") if runs and rival_runs else None
    means = [mean_and_deviation(_values(items, CLASS_INCREMENTAL).values()) for items in (runs, rival_runs)]
    if difference is None or means[0] is None or means[1] is None:
        return ClaimVerdict(claim, ClaimResult.NOT_MEASURED, "not run")
    points = (100 * difference[0], 100 * difference[1], 100 * difference[2])
    numbers = f"{means[0].mean:.1f} and {means[1].mean:.1f}; {_format_interval(points)}"
    chance = 100 / sum(map(len, set(rival_runs[0].classes)))  # sites that share a task have the same classes
    if means[1].mean <= chance:
        return ClaimVerdict(
            claim, ClaimResult.DOES_NOT_COUNT, f"{numbers}; `{rival}` is not above chance, {chance:.1f}"
        )
    return ClaimVerdict(claim, judge_interval(points), numbers)


def _judge_forgetting(tables: Tables) -> ClaimVerdict:
    claim = "On *modality*, `EWC` is below `fine-tune` in forgetting."
    ours, theirs = (_values(_runs(tables, "modality", label), "forgetting") for label in ("EWC", "fine-tune"))
    difference = difference_over_runs(theirs, ours)
    if difference is None:
        return ClaimVerdict(claim, ClaimResult.NOT_MEASURED, "not run")
    means = " and ".join(f"{mean(values.values()):.1f}" for values in (ours, theirs))
    less, low, high = (-value for value in (difference[0], difference[2], difference[1]))
    return ClaimVerdict(claim, judge_interval(difference), f"{means}; {_format_interval((less, low, high))}")


def _judge_retention(tables: Tables) -> ClaimVerdict:
    """Judges against every row with one network and no stored image, then by what its own head learns.

    The maps are those of the head, so the learning of the classifier that answers does not count.
    """
    claim = (
        f"On *modality*, the head of `{FEATURED_ROW}` learns, and keeps most saliency of all rows that learn features "
        "with one network and no stored image."
    )
    excluded_marks = {STORES_IMAGES, NETWORK_PER_SITE, OPENS_ALL_DATA, FROZEN_FEATURES}
    all_lines = tables.get("modality", {})
    lines = {label: line for label, line in all_lines.items() if not excluded_marks & set(line.marks)}
    iou_by_label = {label: ious for label, line in lines.items() if (ious := retained_iou(line.results))}
    own_ious = iou_by_label.pop(FEATURED_ROW, None)
    if not own_ious or not iou_by_label:
        return ClaimVerdict(claim, ClaimResult.NOT_MEASURED, "not run")
    best_label = max(iou_by_label, key=lambda label: mean(iou_by_label[label].values()))
    best_ious = iou_by_label[best_label]
    numbers = f"IoU {mean(own_ious.values()):.3f}; the most of the others: {best_label} {mean(best_ious.values()):.3f}"
    difference = difference_over_runs(own_ious, best_ious)
    if difference is None:
        return ClaimVerdict(claim, ClaimResult.NOT_MEASURED, f"{numbers}; no run of both")
    numbers += f"; {_format_interval(difference, '+.3f')}"
    if remarks := lines[FEATURED_ROW].retention_remarks:
        return ClaimVerdict(claim, ClaimResult.FALLS_SHORT, f"{numbers}; {'; '.join(remarks)}")
    return ClaimVerdict(claim, judge_interval(difference), numbers)


def _judge_backward_transfer(tables: Tables, sequence: str) -> ClaimVerdict:
    """Judges the mean over all runs; the numbers add that of each order, since the two can differ."""
    name = "backward transfer"
    claim = f"On *{sequence}*, {name} of `{FEATURED_ROW}` is no worse than {MINIMUM_TRANSFER:.0f} point."
    runs = _runs(tables, sequence, FEATURED_ROW)
    interval = mean_over_runs(_values(runs, name))
    if interval is None:
        return ClaimVerdict(claim, ClaimResult.NOT_MEASURED, "not run")
    orders = (
        mean_and_deviation(summarise(run).values[name] for run in runs if run.setting.order == order)
        for order in ORDERS
    )
    values_by_order = " and ".join(f"{order_value.mean:+.1f}" for order_value in orders if order_value)
    numbers = f"{_format_interval(interval)}; by order {values_by_order}"
    return ClaimVerdict(claim, judge_interval(interval, MINIMUM_TRANSFER), numbers)


def _format_interval(interval: Interval, form: str = "+.1f") -> str:
    value, low, high = (format(number, form) for number in interval)
    return f"{value} [{low}, {high}]" if math.isfinite(interval[1]) else f"{value}, one run"
