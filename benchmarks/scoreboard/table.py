"""All runs of one sequence, row by row: means, deviations, differences, marks."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scoreboard.choose import Choices, setting_of
from benchmarks.scoreboard.intervals import paired_difference
from benchmarks.scoreboard.result import Result, read
from benchmarks.scoreboard.rows import FROZEN, OURS, ROWS, Row
from benchmarks.scoreboard.schedule import RUNS
from benchmarks.scoreboard.summary import summary

TOLERANCE = 2.0
"""Points below fine-tuning's learning accuracy from which on a row does not learn."""
DOES_NOT_LEARN = "does not learn"


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over runs and its standard deviation; none with a single run."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table.

    Attributes:
        row: which.
        results: its runs, by seed and order.
        values: of ``summary``, by name, over runs.
        differences: to ``ewc_prototype``, by scenario: points and the 95 % interval.
        marks: the row's own, and whether it learns.
    """

    row: Row
    results: tuple[Result, ...]
    values: Mapping[str, Spread | None]
    differences: Mapping[str, tuple[float, float, float] | None]
    marks: tuple[str, ...]

    @property
    def learns(self) -> bool:
        """Whether its retention counts."""
        return DOES_NOT_LEARN not in self.marks and FROZEN not in self.marks


def results_of(sequence: str, chosen: Choices, folder: Path = RUNS) -> dict[str, tuple[Result, ...]]:
    """Returns the finished runs of a sequence by the label of their row; those of an earlier choice are left out."""
    read_all = [read(path) for path in sorted((folder / sequence).glob("*.json"))]
    return {row.label: _runs_of(row, sequence, read_all, chosen) for row in ROWS if row.runs_on(sequence)}


def _runs_of(row: Row, sequence: str, results: Sequence[Result], chosen: Choices) -> tuple[Result, ...]:
    wanted = setting_of(row, sequence, 0, 0, chosen)
    found = [result for result in results if replace(result.setting, seed=0, order=0) == wanted]
    return tuple(sorted(found, key=_place))


def lines_of(results: Mapping[str, Sequence[Result]], rows: Iterable[Row] = ROWS) -> tuple[Line, ...]:
    """Returns a line for every row; one that has no run yet has no values."""
    learned = [summary(result).values["learning accuracy"] for result in results.get("fine-tune", ())]
    floor = statistics.mean(value for value in learned if value is not None) - TOLERANCE if learned else None
    return tuple(_line(row, results, floor) for row in rows if row.label in results)


def _line(row: Row, results: Mapping[str, Sequence[Result]], floor: float | None) -> Line:
    runs = tuple(results.get(row.label, ()))
    summaries = [summary(result).values for result in runs]
    values = {name: spread([each[name] for each in summaries]) for name in (summaries[0] if summaries else ())}
    learning = values.get("learning accuracy")
    slow = learning is not None and floor is not None and learning.mean < floor
    ours = results.get(OURS, ()) if row.label != OURS else ()
    differences = {scenario: paired_difference(runs, ours, scenario) for scenario in ("class", "task")}
    return Line(row, runs, values, differences, row.marks + ((DOES_NOT_LEARN,) if slow else ()))


def spread(values: Iterable[float | None]) -> Spread | None:
    """Returns mean and deviation of what was measured, or none."""
    measured = [value for value in values if value is not None]
    if not measured:
        return None
    return Spread(statistics.mean(measured), statistics.stdev(measured) if len(measured) > 1 else None)


def _place(result: Result) -> tuple[int, int]:
    return result.setting.seed, result.setting.order
