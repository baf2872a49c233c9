"""The claims of the page, each with its numbers and a verdict: it holds, it falls short, or it was not measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.scoreboard.rows import FEATURED_ROW, NETWORK_PER_SITE, ORDERS, STORES_IMAGES
from benchmarks.scoreboard.saliency_summary import summarise_saliency
from benchmarks.scoreboard.summary import summarise
from benchmarks.scoreboard.table import TableLine, mean_and_deviation

Tables = Mapping[str, Mapping[str, TableLine]]
"""Lines by sequence and label."""

CLASS_INCREMENTAL = "class-incremental"
MINIMUM_ACCURACY, MINIMUM_TRANSFER = 82.0, -1.0
"""Points: of accuracy on *modality*, and of backward transfer."""
RIVALS = ("EWC", "LwF", "ridge (ACIL), random", "ridge (ACIL), first task")


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """A claim and its verdict.

    Attributes:
        claim: one sentence.
        holds: none where a run is missing.
        numbers: the numbers behind the verdict.
    """

    claim: str
    holds: bool | None
    numbers: str


def judge_claims(tables: Tables) -> tuple[ClaimVerdict, ...]:
    """Returns every claim's verdict, in the order of the page."""
    return (
        _judge_accuracy(tables),
        *(_judge_paired(tables, rival) for rival in RIVALS),
        _judge_retention(tables),
        _judge_backward_transfer(tables, "site"),
        _judge_backward_transfer(tables, "shift"),
        _judge_below(tables, "EWC", "fine-tune", "forgetting"),
        _judge_above(tables, "joint", "fine-tune", CLASS_INCREMENTAL),
        _judge_above(tables, "ridge (ACIL), random", "fine-tune", CLASS_INCREMENTAL),
    )


def _mean_value(tables: Tables, sequence: str, label: str, name: str) -> float | None:
    line = tables.get(sequence, {}).get(label)
    summary_value = line.values.get(name) if line else None
    return summary_value.mean if summary_value else None


def _judge_accuracy(tables: Tables) -> ClaimVerdict:
    value = _mean_value(tables, "modality", FEATURED_ROW, CLASS_INCREMENTAL)
    claim = (
        f"On *modality*, class-incremental and without a stored image, `{FEATURED_ROW}` reaches "
        f"{MINIMUM_ACCURACY:.0f} %."
    )
    return ClaimVerdict(claim, *((None, "not run") if value is None else (value >= MINIMUM_ACCURACY, f"{value:.1f}")))


def _judge_paired(tables: Tables, rival: str) -> ClaimVerdict:
    """Judges over the runs that both have, by seed and order; the numbers add their difference and its interval."""
    line = tables.get("modality", {}).get(rival)
    difference = line.differences["class"] if line else None
    verdict = _judge_above(tables, FEATURED_ROW, rival, CLASS_INCREMENTAL)
    if difference is None:
        return ClaimVerdict(verdict.claim, None, "not run")
    mean, high, low = (-100 * value for value in difference)
    remark = ", which holds 0: not settled" if low <= 0 <= high else ""
    return ClaimVerdict(verdict.claim, mean > 0, f"{verdict.numbers}; {mean:+.1f} [{low:+.1f}, {high:+.1f}]{remark}")


def _judge_above(tables: Tables, first_label: str, second_label: str, name: str) -> ClaimVerdict:
    return _compare(
        tables, first_label, second_label=second_label, name=name, relation="is above", holds=lambda a, b: a > b
    )


def _judge_below(tables: Tables, first_label: str, second_label: str, name: str) -> ClaimVerdict:
    return _compare(
        tables, first_label, second_label=second_label, name=name, relation="is below", holds=lambda a, b: a < b
    )


def _compare(
    tables: Tables, first_label: str, second_label: str, name: str, relation: str, holds: Callable[[float, float], bool]
) -> ClaimVerdict:
    first_value, second_value = (_mean_value(tables, "modality", label, name) for label in (first_label, second_label))
    value_name = name if name == "forgetting" else f"{name} accuracy"
    claim = f"On *modality*, `{first_label}` {relation} `{second_label}` in {value_name}."
    if first_value is None or second_value is None:
        return ClaimVerdict(claim, None, "not run")
    return ClaimVerdict(claim, holds(first_value, second_value), f"{first_value:.1f} and {second_value:.1f}")


def _judge_retention(tables: Tables) -> ClaimVerdict:
    claim = (
        f"On *modality*, `{FEATURED_ROW}` keeps most saliency of all rows that learn with one network and no stored "
        "image."
    )
    lines = tables.get("modality", {}).values()
    retained_iou = {
        line.row.label: iou.mean
        for line in lines
        if line.learns
        and not {STORES_IMAGES, NETWORK_PER_SITE} & set(line.marks)
        and not line.row.label.startswith("ladder")
        if (iou := summarise_saliency(line.results).iou)
    }
    if FEATURED_ROW not in retained_iou or len(retained_iou) < 3:
        return ClaimVerdict(claim, None, "not run, or it does not learn")
    best = max(retained_iou, key=lambda label: retained_iou[label])
    return ClaimVerdict(
        claim, best == FEATURED_ROW, f"IoU {retained_iou[FEATURED_ROW]:.3f}; the most: {best} {retained_iou[best]:.3f}"
    )


def _judge_backward_transfer(tables: Tables, sequence: str) -> ClaimVerdict:
    """Judges the mean over all runs; the numbers add that of each order, since the two can differ."""
    name = "backward transfer"
    value = _mean_value(tables, sequence, FEATURED_ROW, name)
    claim = f"On *{sequence}*, {name} of `{FEATURED_ROW}` is no worse than {MINIMUM_TRANSFER:.0f} point."
    if value is None:
        return ClaimVerdict(claim, None, "not run")
    runs = tables[sequence][FEATURED_ROW].results
    orders = (
        mean_and_deviation(summarise(run).values[name] for run in runs if run.setting.order == order)
        for order in ORDERS
    )
    values_by_order = " and ".join(f"{order_value.mean:+.1f}" for order_value in orders if order_value)
    return ClaimVerdict(claim, value >= MINIMUM_TRANSFER, f"{value:+.1f}; by order {values_by_order}")
