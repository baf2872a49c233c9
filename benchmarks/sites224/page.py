"""``docs/results.md`` from the result files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.scoreboard.options import flatten_options
from benchmarks.scoreboard.result import code_digest
from benchmarks.sites224.choices import CHOICES_FILE, RESULTS_FOLDER, RUNS_FILE, read_choices
from benchmarks.sites224.claims import ClaimOutcome, JudgedClaim, judge_claims, read_claims
from benchmarks.sites224.families import FAMILIES, run_settings
from benchmarks.sites224.results_file import read_results
from benchmarks.sites224.setting import readme_configuration
from benchmarks.sites224.sites import SEQUENCES
from benchmarks.sites224.table import RunsByRow, Spread, group_runs, lines_of

ROOT = Path(__file__).resolve().parents[2]
RESULTS_PAGE = ROOT / "docs" / "results.md"
FLOORS_FILE = RESULTS_FOLDER / "floors.json"
SEQUENCE_NAMES = ("modality-224", "site-224")


def render_page(runs: Path = RUNS_FILE, choices_file: Path = CHOICES_FILE, floors_file: Path = FLOORS_FILE) -> str:
    """Returns the page as text; it depends on the result files alone."""
    choices, claims = read_choices(choices_file), read_claims()
    runs_by_row = group_runs(list(read_results(runs).values()), choices)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"spread": _format_spread, "pairs": _format_options, "number": _format_number}
    notes = Path(__file__).with_name("notes.md")
    judged = judge_claims(runs_by_row, claims)
    return environment.get_template("page.md.j2").render(
        headline=_headline(judged),
        epochs=readme_configuration().training.epochs,
        judged=judged,
        claims=claims,
        sections=[
            {"name": name, "sites": SEQUENCES[name], "lines": lines_of(runs_by_row, name)} for name in SEQUENCE_NAMES
        ],
        choices=choices,
        families=FAMILIES,
        done=sum(len(items) for items in runs_by_row.values()),
        untried=[name for name in FAMILIES if name not in choices.families],
        planned=sum(len(run_settings(name, choice.chosen)) for name, choice in choices.families.items()),
        stale=_stale_families(runs_by_row),
        machines=sorted({_describe(run.environment) for items in runs_by_row.values() for run in items}),
        floors=json.loads(floors_file.read_text(encoding="utf-8")) if floors_file.is_file() else None,
        notes=notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
    )


def write_page(path: Path = RESULTS_PAGE) -> Path:
    """Writes the page."""
    path.write_text(render_page(), encoding="utf-8")
    return path


def _headline(judged: list[JudgedClaim]) -> str:
    """Returns the first line: whether the fusion of the first paper brings more than its parts, and than its rival."""
    outcomes = {item.claim.name: item.verdict for item in judged}
    fusion = [item for item in judged if item.claim.rival in ("EWC", "parts without EWC")]
    counts = {verdict: sum(item.verdict is verdict for item in fusion) for verdict in ClaimOutcome}
    if counts[ClaimOutcome.NOT_MEASURED]:
        return "**The experiment on the fusion of `ewc_prototype` is not finished: no verdict yet.**"
    further = "; ".join(f"{name}: {outcomes[name]}" for name in outcomes if name not in [i.claim.name for i in fusion])
    if counts[ClaimOutcome.HOLDS] == len(fusion):
        return (
            f"**The fusion of `ewc_prototype` is better than each of its parts alone, on both sequences.** {further}."
        )
    return (
        "**The claim that the fusion of `ewc_prototype` beats each of its parts alone is not shown:** of "
        f"{len(fusion)} comparisons {counts[ClaimOutcome.HOLDS]} hold, {counts[ClaimOutcome.NOT_SETTLED]} are not "
        f"settled, and {counts[ClaimOutcome.DOES_NOT_HOLD]} do not hold. Further claims: {further}."
    )


def _stale_families(runs_by_row: RunsByRow) -> list[str]:
    """Returns the families with a run of other code than there is now."""
    return sorted(
        {
            family
            for (_, family), runs in runs_by_row.items()
            for run in runs
            if run.code != code_digest(run.setting.method)
        }
    )


def is_same_page(first_page: str, second_page: str) -> bool:
    """Compares two pages without the line on changed code: code may change, results do not."""
    pages = (
        [line for line in page.splitlines() if not line.startswith("Ran with other code")]
        for page in (first_page, second_page)
    )
    return next(pages) == next(pages)


def _describe(environment: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(environment.items()))


def _format_spread(value: Spread | None, digits: int = 3, scale: float = 1.0) -> str:
    if value is None:
        return "-"
    text = f"{scale * value.mean:.{digits}f}"
    return text if value.deviation is None else f"{text} ± {scale * value.deviation:.{digits}f}"


def _format_number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _format_options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in flatten_options(options).items()) or "defaults"
