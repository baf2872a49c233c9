"""``docs/results_64.md`` from the result files: tables, pictures, claims."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from anamnesis.evaluation.saliency import random_iou
from benchmarks.scoreboard.claims import judge_claims
from benchmarks.scoreboard.options import flatten_options
from benchmarks.scoreboard.plots import draw_pictures
from benchmarks.scoreboard.result import RunResult, code_digest
from benchmarks.scoreboard.rows import DEFAULT_ROW, FAMILIES, FEATURED_ROW, HEAD_ALONE_ROW, ORDERS
from benchmarks.scoreboard.saliency_summary import (
    correlation,
    drift_pairs,
    joint_ceiling,
    summarise_deletion,
    summarise_saliency,
)
from benchmarks.scoreboard.schedule import ON_PAGE, RUNS, SEEDS, pending_runs, plan_runs
from benchmarks.scoreboard.sequences import SEQUENCES
from benchmarks.scoreboard.table import MeanDeviation, TableLine, lines_of, results_of
from benchmarks.scoreboard.trial_choices import Choices, read_choices

ROOT = Path(__file__).resolve().parents[2]
RESULTS_PAGE = ROOT / "docs" / "results_64.md"
PICTURES_FOLDER = "results_64"
STALE_PREFIX = "Ran with other code"
SINGLE_SITE_SEQUENCES = ("site", "shift")
FOCUS_METRICS = ("Area", "Energy own", "Energy last", "Pointing own", "Pointing last")


def render_page(runs: Path = RUNS, given_choices: Choices | None = None) -> str:
    """Returns the page as text; it depends on the result files alone."""
    current_choices = read_choices() if given_choices is None else given_choices
    tables = {sequence: lines_of(results_of(sequence, current_choices, runs)) for sequence in ON_PAGE}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "spread": _format_spread,
        "number": _format_number,
        "difference": _format_difference,
        "pairs": _format_options,
    }
    jobs = plan_runs(current_choices, folder=runs)
    notes = Path(__file__).with_name("notes.md")
    return environment.get_template("page.md.j2").render(
        sections=[_section_document(sequence, lines) for sequence, lines in tables.items()],
        verdicts=judge_claims({name: {line.row.label: line for line in lines} for name, lines in tables.items()}),
        choices=current_choices,
        families=FAMILIES,
        done=len(jobs) - len(pending_runs(jobs)),
        jobs=len(jobs),
        seeds=SEEDS,
        orders=ORDERS,
        machines=_describe_machines(result for lines in tables.values() for line in lines for result in line.results),
        development=SEQUENCES["development"],
        notes=notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
        focus=FOCUS_METRICS,
        pictures=PICTURES_FOLDER,
        default_row=DEFAULT_ROW,
        featured_row=FEATURED_ROW,
        head_row=HEAD_ALONE_ROW,
        default_runs={
            sequence: len(line.results)
            for sequence, lines in tables.items()
            for line in lines
            if line.row.label == DEFAULT_ROW and line.results
        },
    )


def write_page(runs: Path = RUNS, path: Path = RESULTS_PAGE, given_choices: Choices | None = None) -> list[Path]:
    """Writes the page and its pictures, and returns what was written."""
    current_choices = read_choices() if given_choices is None else given_choices
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(runs, current_choices), encoding="utf-8")
    written_files = [path]
    for sequence in ON_PAGE:
        written_files += draw_pictures(
            sequence, lines_of(results_of(sequence, current_choices, runs)), path.parent / PICTURES_FOLDER
        )
    return written_files


def _section_document(sequence: str, lines: Sequence[TableLine]) -> dict[str, Any]:
    by_label = {line.row.label: line for line in lines}
    pairs_of_drift = [pair for line in lines for pair in drift_pairs(line.results)]
    finished_lines = [line for line in lines if line.results]
    sites = finished_lines[0].results[0].sites if finished_lines else ()
    saliency_summaries = {line.row.label: summarise_saliency(line.results) for line in finished_lines}
    return {
        "name": sequence,
        "title": SEQUENCES[sequence].title,
        "lines": lines,
        "looks": saliency_summaries,
        "focused": [label for label, saliency_summary in saliency_summaries.items() if saliency_summary.focus],
        "sites": sorted(sites),
        "by_site": {line.row.label: _accuracy_by_site(line.results) for line in finished_lines},
        "alone": _single_site_accuracy(by_label["fine-tune"].results) if sequence in SINGLE_SITE_SEQUENCES else {},
        "ceiling": joint_ceiling(by_label["joint"].results),
        "correlation": correlation(pairs_of_drift),
        "faithful": {
            line.row.label: deletion for line in finished_lines if (deletion := summarise_deletion(line.results))
        },
        "pairs": len(pairs_of_drift),
        "shared": len(finished_lines) > 0 and len(set(finished_lines[0].results[0].classes)) < len(sites),
        "missing": [line.row.label for line in lines if not line.results],
        "stale": [line.row.label for line in finished_lines if _has_stale_code(line)],
        "floor": random_iou(64),
        "ran": bool(finished_lines),
    }


def _accuracy_by_site(results: Sequence[RunResult]) -> dict[tuple[str, int], float]:
    """Returns final task-incremental accuracy by site and order, in per cent, means over seeds."""
    scores: dict[tuple[str, int], list[float]] = {}
    for result in results:
        for site, score in zip(result.sites, result.task_incremental[-1], strict=True):
            if score is not None:
                scores.setdefault((site, result.setting.order), []).append(100 * score)
    return {key: statistics.mean(values) for key, values in scores.items()}


def _single_site_accuracy(results: Sequence[RunResult]) -> dict[tuple[str, str], float]:
    """Returns what a model of one site alone scores, by (learned, judged): fine-tuning's first update, per cent."""
    scores: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for site, score in zip(result.sites, result.task_incremental[0], strict=True):
            if score is not None:
                scores.setdefault((result.sites[0], site), []).append(100 * score)
    return {key: statistics.mean(values) for key, values in scores.items()}


def _has_stale_code(line: TableLine) -> bool:
    """Returns whether the method's code has changed since a run."""
    return any(result.code != code_digest(result.setting.method) for result in line.results)


def is_same_page(first_page: str, second_page: str) -> bool:
    """Compares two pages without the lines on changed code: code may change, results do not."""
    compared_lines = [
        [line for line in text.splitlines() if not line.startswith(STALE_PREFIX)] for text in (first_page, second_page)
    ]
    return compared_lines[0] == compared_lines[1]


def _describe_machines(results: Any) -> list[str]:
    return sorted(
        {", ".join(f"{name} {value}" for name, value in sorted(result.environment.items())) for result in results}
    )


def _format_spread(value: MeanDeviation | None, digits: int = 1) -> str:
    if value is None:
        return "-"
    return f"{value.mean:.{digits}f}" + ("" if value.deviation is None else f" ± {value.deviation:.{digits}f}")


def _format_number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _format_difference(value: tuple[float, float, float] | None) -> str:
    if value is None:
        return "-"
    mean, low, high = (100 * bound for bound in value)
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _format_options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in flatten_options(options).items()) or "defaults"
