"""``docs/results.md`` from the result files: tables, pictures, claims."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from anamnesis.evaluation.saliency import random_iou
from benchmarks.scoreboard.choose import Choices, choices
from benchmarks.scoreboard.claims import judge
from benchmarks.scoreboard.look import ceiling, correlation, drifts, look_of
from benchmarks.scoreboard.plots import draw
from benchmarks.scoreboard.result import Result, code_of
from benchmarks.scoreboard.rows import FAMILIES, ORDERS
from benchmarks.scoreboard.schedule import ON_PAGE, RUNS, SEEDS, plan
from benchmarks.scoreboard.sequences import SEQUENCES
from benchmarks.scoreboard.table import Line, Spread, lines_of, results_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "results.md"
PICTURES = "results"
STALE = "Ran with other code"
ALONE = ("site", "shift")
FOCUS = ("Area", "Energy own", "Energy last", "Pointing own", "Pointing last")


def page(runs: Path = RUNS, chosen: Choices | None = None) -> str:
    """Returns the page as text; it depends on the result files alone."""
    settled = choices() if chosen is None else chosen
    tables = {sequence: lines_of(results_of(sequence, settled, runs)) for sequence in ON_PAGE}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"spread": _spread, "number": _number, "difference": _difference, "pairs": _pairs}
    jobs = plan(settled, folder=runs)
    notes = Path(__file__).with_name("notes.md")
    return environment.get_template("page.md.j2").render(
        sections=[_section(sequence, lines) for sequence, lines in tables.items()],
        verdicts=judge({name: {line.row.label: line for line in lines} for name, lines in tables.items()}),
        choices=settled,
        families=FAMILIES,
        done=sum(job.path.is_file() for job in jobs),
        jobs=len(jobs),
        seeds=SEEDS,
        orders=ORDERS,
        machines=_machines(result for lines in tables.values() for line in lines for result in line.results),
        development=SEQUENCES["development"],
        notes=notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
        focus=FOCUS,
    )


def write_page(runs: Path = RUNS, path: Path = PAGE, chosen: Choices | None = None) -> list[Path]:
    """Writes the page and its pictures, and returns what was written."""
    settled = choices() if chosen is None else chosen
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(runs, settled), encoding="utf-8")
    written = [path]
    for sequence in ON_PAGE:
        written += draw(sequence, lines_of(results_of(sequence, settled, runs)), path.parent / PICTURES)
    return written


def _section(sequence: str, lines: Sequence[Line]) -> dict[str, Any]:
    by_label = {line.row.label: line for line in lines}
    every = [pair for line in lines for pair in drifts(line.results)]
    ran = [line for line in lines if line.results]
    sites = ran[0].results[0].sites if ran else ()
    looks = {line.row.label: look_of(line.results) for line in ran}
    return {
        "name": sequence,
        "title": SEQUENCES[sequence].title,
        "lines": lines,
        "looks": looks,
        "focused": [label for label, look in looks.items() if look.focus],
        "sites": sorted(sites),
        "by_site": {line.row.label: _by_site(line.results) for line in ran},
        "alone": _alone(by_label["fine-tune"].results) if sequence in ALONE else {},
        "ceiling": ceiling(by_label["joint"].results),
        "correlation": correlation(every),
        "pairs": len(every),
        "shared": len(ran) > 0 and len(set(ran[0].results[0].classes)) < len(sites),
        "missing": [line.row.label for line in lines if not line.results],
        "stale": [line.row.label for line in ran if _stale(line)],
        "floor": random_iou(64),
        "ran": bool(ran),
    }


def _by_site(results: Sequence[Result]) -> dict[tuple[str, int], float]:
    """Returns final task-incremental accuracy by site and order, in per cent, means over seeds."""
    found: dict[tuple[str, int], list[float]] = {}
    for result in results:
        for site, score in zip(result.sites, result.task_incremental[-1], strict=True):
            if score is not None:
                found.setdefault((site, result.setting.order), []).append(100 * score)
    return {key: statistics.mean(values) for key, values in found.items()}


def _alone(results: Sequence[Result]) -> dict[tuple[str, str], float]:
    """Returns what a model of one site alone scores, by (learned, judged): fine-tuning's first update, per cent."""
    found: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for site, score in zip(result.sites, result.task_incremental[0], strict=True):
            if score is not None:
                found.setdefault((result.sites[0], site), []).append(100 * score)
    return {key: statistics.mean(values) for key, values in found.items()}


def _stale(line: Line) -> bool:
    """Tells whether the method's code has changed since a run."""
    return any(result.code != code_of(result.setting.method) for result in line.results)


def same(first: str, second: str) -> bool:
    """Compares two pages but for the lines that say whose code has changed since: code may change, results stay."""
    bare = [[line for line in text.splitlines() if not line.startswith(STALE)] for text in (first, second)]
    return bare[0] == bare[1]


def _machines(results: Any) -> list[str]:
    return sorted({", ".join(f"{k} {v}" for k, v in sorted(result.environment.items())) for result in results})


def _spread(value: Spread | None, digits: int = 1) -> str:
    if value is None:
        return "-"
    return f"{value.mean:.{digits}f}" + ("" if value.deviation is None else f" ± {value.deviation:.{digits}f}")


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _difference(value: tuple[float, float, float] | None) -> str:
    if value is None:
        return "-"
    mean, low, high = (100 * each for each in value)
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _pairs(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "defaults"
