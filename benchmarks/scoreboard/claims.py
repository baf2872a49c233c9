"""What is claimed, each with the numbers that decide it: it holds, it falls short, or it was not measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.scoreboard.look import look_of
from benchmarks.scoreboard.rows import EXEMPLARS, ONE_EACH, ORDERS, OURS
from benchmarks.scoreboard.summary import summary
from benchmarks.scoreboard.table import Line, spread

Tables = Mapping[str, Mapping[str, Line]]
"""Lines by sequence and label."""

CLASS = "class-incremental"
AIM, LEAST = 82.0, -1.0
"""Points: of accuracy on *modality*, and of backward transfer."""
RIVALS = ("EWC", "LwF", "ridge (ACIL), random", "ridge (ACIL), first task")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and what became of it.

    Attributes:
        claim: one sentence.
        holds: none where a run is missing.
        numbers: that decide it.
    """

    claim: str
    holds: bool | None
    numbers: str


def judge(tables: Tables) -> tuple[Verdict, ...]:
    """Returns every claim's verdict, in the order of the page."""
    return (
        _at_least(tables),
        *(_above_paired(tables, other) for other in RIVALS),
        _most_retained(tables),
        _backward(tables, "site"),
        _backward(tables, "shift"),
        _below(tables, "EWC", "fine-tune", "forgetting"),
        _above(tables, "joint", "fine-tune", CLASS),
        _above(tables, "ridge (ACIL), random", "fine-tune", CLASS),
    )


def _value(tables: Tables, sequence: str, label: str, name: str) -> float | None:
    line = tables.get(sequence, {}).get(label)
    found = line.values.get(name) if line else None
    return found.mean if found else None


def _at_least(tables: Tables) -> Verdict:
    value = _value(tables, "modality", OURS, CLASS)
    claim = f"On *modality*, class-incremental and without a stored image, `{OURS}` reaches {AIM:.0f} %."
    return Verdict(claim, *((None, "not run") if value is None else (value >= AIM, f"{value:.1f}")))


def _above_paired(tables: Tables, other: str) -> Verdict:
    """Judges over the runs that both have, by seed and order; the numbers add their difference and its interval."""
    line = tables.get("modality", {}).get(other)
    difference = line.differences["class"] if line else None
    verdict = _above(tables, OURS, other, CLASS)
    if difference is None:
        return Verdict(verdict.claim, None, "not run")
    mean, high, low = (-100 * value for value in difference)
    noise = ", which holds 0: not settled" if low <= 0 <= high else ""
    return Verdict(verdict.claim, mean > 0, f"{verdict.numbers}; {mean:+.1f} [{low:+.1f}, {high:+.1f}]{noise}")


def _above(tables: Tables, first: str, second: str, name: str) -> Verdict:
    return _compare(tables, first, second, name, "is above", lambda a, b: a > b)


def _below(tables: Tables, first: str, second: str, name: str) -> Verdict:
    return _compare(tables, first, second, name, "is below", lambda a, b: a < b)


def _compare(
    tables: Tables, first: str, second: str, name: str, words: str, holds: Callable[[float, float], bool]
) -> Verdict:
    a, b = (_value(tables, "modality", label, name) for label in (first, second))
    claim = f"On *modality*, `{first}` {words} `{second}` in {name}{'' if name == 'forgetting' else ' accuracy'}."
    if a is None or b is None:
        return Verdict(claim, None, "not run")
    return Verdict(claim, holds(a, b), f"{a:.1f} and {b:.1f}")


def _most_retained(tables: Tables) -> Verdict:
    claim = f"On *modality*, `{OURS}` keeps most saliency of all rows that learn with one network and no stored image."
    lines = tables.get("modality", {}).values()
    kept = {
        line.row.label: iou.mean
        for line in lines
        if line.learns and not {EXEMPLARS, ONE_EACH} & set(line.marks) and not line.row.label.startswith("ladder")
        if (iou := look_of(line.results).iou)
    }
    if OURS not in kept or len(kept) < 3:
        return Verdict(claim, None, "not run, or it does not learn")
    best = max(kept, key=lambda label: kept[label])
    return Verdict(claim, best == OURS, f"IoU {kept[OURS]:.3f}; the most: {best} {kept[best]:.3f}")


def _backward(tables: Tables, sequence: str) -> Verdict:
    """Judges the mean over all runs; the numbers add that of each order, since the two can differ."""
    name = "backward transfer"
    value = _value(tables, sequence, OURS, name)
    claim = f"On *{sequence}*, {name} of `{OURS}` is no worse than {LEAST:.0f} point."
    if value is None:
        return Verdict(claim, None, "not run")
    runs = tables[sequence][OURS].results
    orders = (spread(summary(run).values[name] for run in runs if run.setting.order == order) for order in ORDERS)
    apart = " and ".join(f"{each.mean:+.1f}" for each in orders if each)
    return Verdict(claim, value >= LEAST, f"{value:+.1f}; by order {apart}")
