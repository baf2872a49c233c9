"""All runs of one sequence, row by row: means, deviations, differences, marks."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.scoreboard.intervals import paired_difference
from benchmarks.scoreboard.result import RunResult
from benchmarks.scoreboard.results_file import read_results
from benchmarks.scoreboard.rows import FEATURED_ROW, FROZEN_FEATURES, ROWS, MethodRow
from benchmarks.scoreboard.schedule import RUNS
from benchmarks.scoreboard.summary import summarise
from benchmarks.scoreboard.trial_choices import Choices, setting_of

LEARNING_TOLERANCE = 2.0
"""Points below fine-tuning's learning accuracy from which on a row does not learn."""
DOES_NOT_LEARN = "does not learn"


@dataclass(frozen=True, slots=True)
class MeanDeviation:
    """A mean over runs and its standard deviation; none with a single run."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True)
class TableLine:
    """A row of a table.

    Attributes:
        row: which.
        results: its runs, by seed and order.
        values: of ``summary``, by name, over runs.
        differences: to ``ewc_prototype``, by scenario: points and the 95 % interval.
        marks: the row's own, and whether it learns.
        head_learning: learning accuracy of the head that the maps are of; none where it was not measured.
        retention_remarks: why its retention does not count; empty where it does.
    """

    row: MethodRow
    results: tuple[RunResult, ...]
    values: Mapping[str, MeanDeviation | None]
    differences: Mapping[str, tuple[float, float, float] | None]
    marks: tuple[str, ...]
    head_learning: float | None = None
    retention_remarks: tuple[str, ...] = ()

    @property
    def learns(self) -> bool:
        """Whether its retention counts."""
        return not self.retention_remarks


def results_of(sequence: str, current_choices: Choices, folder: Path = RUNS) -> dict[str, tuple[RunResult, ...]]:
    """Returns the finished runs of a sequence by the label of their row; those of an earlier choice are left out."""
    all_results = list(read_results(folder / f"{sequence}.jsonl").values())
    return {row.label: _runs_of(row, sequence, all_results, current_choices) for row in ROWS if row.runs_on(sequence)}


def _runs_of(
    row: MethodRow, sequence: str, results: Sequence[RunResult], current_choices: Choices
) -> tuple[RunResult, ...]:
    expected_setting = setting_of(row, sequence, seed=0, order=0, current_choices=current_choices)
    matching_runs = [result for result in results if replace(result.setting, seed=0, order=0) == expected_setting]
    return tuple(sorted(matching_runs, key=_sort_key))


def lines_of(results: Mapping[str, Sequence[RunResult]], rows: Iterable[MethodRow] = ROWS) -> tuple[TableLine, ...]:
    """Returns a line for every row; one that has no run yet has no values."""
    fine_tuning = _learning_accuracy(results.get("fine-tune", ()))
    floor = None if fine_tuning is None else fine_tuning - LEARNING_TOLERANCE
    return tuple(_make_line(row, results, floor) for row in rows if row.label in results)


def _learning_accuracy(runs: Sequence[RunResult]) -> float | None:
    value = mean_and_deviation(summarise(run).values["learning accuracy"] for run in runs)
    return value.mean if value else None


def _make_line(row: MethodRow, results: Mapping[str, Sequence[RunResult]], floor: float | None) -> TableLine:
    runs = tuple(results.get(row.label, ()))
    summaries = [summarise(result).values for result in runs]
    values = {
        name: mean_and_deviation([run_values[name] for run_values in summaries])
        for name in (summaries[0] if summaries else ())
    }
    learning, head_learning = (
        _learning_accuracy(results.get(label, ())) for label in (row.label, row.head or row.label)
    )
    is_slow_learner, has_slow_head = (
        value is not None and floor is not None and value < floor for value in (learning, head_learning)
    )
    featured_runs = results.get(FEATURED_ROW, ()) if row.label != FEATURED_ROW else ()
    differences = {scenario: paired_difference(runs, featured_runs, scenario) for scenario in ("class", "task")}
    return TableLine(
        row,
        runs,
        values=values,
        differences=differences,
        marks=row.marks + ((DOES_NOT_LEARN,) if is_slow_learner else ()),
        head_learning=head_learning,
        retention_remarks=tuple(_remark_retention(row, head_learning, has_slow_head)) if runs else (),
    )


def _remark_retention(row: MethodRow, head_learning: float | None, has_slow_head: bool) -> Iterator[str]:
    if FROZEN_FEATURES in row.marks:
        yield FROZEN_FEATURES
    elif row.head and head_learning is None:
        yield "the learning of its head was not measured"
    elif row.head and has_slow_head:
        yield f"its head {DOES_NOT_LEARN}: {head_learning:.1f} %"
    elif has_slow_head:
        yield DOES_NOT_LEARN


def mean_and_deviation(values: Iterable[float | None]) -> MeanDeviation | None:
    """Returns mean and deviation of what was measured, or none."""
    measured_values = [value for value in values if value is not None]
    if not measured_values:
        return None
    return MeanDeviation(
        statistics.mean(measured_values), statistics.stdev(measured_values) if len(measured_values) > 1 else None
    )


def _sort_key(result: RunResult) -> tuple[int, int]:
    return result.setting.seed, result.setting.order
