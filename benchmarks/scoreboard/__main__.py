"""The command line: ``python -m benchmarks.scoreboard run --sequence development --method finetune``."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from anamnesis.records import AnamnesisError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
SCRATCH_FOLDER = Path("build/scoreboard")


@app.callback()
def main() -> None:
    """Methods of continual learning side by side."""


@app.command()
def run(
    method: Annotated[str, typer.Option(help="Registered name.")],
    sequence: Annotated[str, typer.Option(help="Which sites.")] = "development",
    option: Annotated[
        list[str] | None,
        typer.Option(help="path=value, as in YAML, for example consolidation.penalty=3000; may be repeated."),
    ] = None,
    seed: int = 0,
    order: int = 0,
    epochs: int = 8,
    learning_rate: float = 1e-3,
    row: Annotated[str, typer.Option(help="Label on the page.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="JSON-lines file; by default build/scoreboard/<sequence>.jsonl.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small images, few of them.")] = False,
) -> None:
    """Runs one method through one sequence, prints a summary and stores the result."""
    from benchmarks.scoreboard import result, results_file, summary
    from benchmarks.scoreboard.options import nest_options
    from benchmarks.scoreboard.run import run_setting as run_one

    setting = result.RunSetting(
        sequence=sequence,
        method=method,
        options=nest_options(parse_options(option or [])),
        row=row or method,
        seed=seed,
        order=order,
        epochs=epochs,
        learning_rate=learning_rate,
        quick=quick,
    )
    run_result = run_one(setting)
    path = results_file.write_result(run_result, out or SCRATCH_FOLDER / f"{sequence}.jsonl")
    typer.echo(summary.describe_result(run_result))
    typer.echo(f"written to {path}")


@app.command("all")
def run_all(
    hours: Annotated[float, typer.Option(help="No run begins after this time.")] = 8.0,
    workers: Annotated[int, typer.Option(help="Runs side by side, each on one core.")] = 1,
    sequence: Annotated[list[str] | None, typer.Option(help="Which; by default all on the page.")] = None,
    rows: Annotated[str, typer.Option(help="Regular expression on their labels.")] = "",
    seeds: Annotated[str, typer.Option(help="Numbers, by commas.")] = "0,1,2",
    quick: Annotated[bool, typer.Option("--quick", help="Only check the claimed orderings, in a minute.")] = False,
) -> None:
    """Runs all rows without a result, then writes the page; continues where the last call stopped."""
    from benchmarks.scoreboard import orderings, page, schedule, trial_choices
    from benchmarks.scoreboard.rows import ROWS

    if quick:
        raise typer.Exit(0 if orderings.check_orderings(typer.echo) else 1)
    selected_rows = [row for row in ROWS if re.search(rows, row.label)]
    seed_numbers = [int(seed) for seed in seeds.split(",")]
    jobs = schedule.plan_runs(trial_choices.read_choices(), sequence or schedule.ON_PAGE, selected_rows, seed_numbers)
    failed = schedule.run_jobs(jobs, hours, workers, typer.echo)
    page.write_page()
    raise typer.Exit(1 if failed else 0)


@app.command()
def trials(
    hours: Annotated[float, typer.Option(help="No run begins after this time.")] = 8.0,
    workers: Annotated[int, typer.Option(help="Runs side by side, each on one core.")] = 1,
    families: Annotated[str, typer.Option(help="Regular expression on their names.")] = "",
) -> None:
    """Tries every family's settings on the development sequence and writes the choice of each that is complete."""
    from benchmarks.scoreboard import schedule, trial_choices
    from benchmarks.scoreboard.rows import FAMILIES

    selected_families = [name for name in FAMILIES if re.search(families, name)]
    settings = [setting for name in selected_families for setting in trial_choices.trial_settings(name)]
    jobs = [schedule.ScheduledRun(setting, trial_choices.TRIALS_FILE) for setting in settings]
    failed = schedule.run_jobs(jobs, hours, workers, typer.echo)
    trial_choices.write_choices(trial_choices.choose_settings(selected_families))
    raise typer.Exit(1 if failed else 0)


@app.command("page")
def write_page(
    check: Annotated[bool, typer.Option("--check", help="Only compare the page with the results.")] = False,
) -> None:
    """Writes docs/results_64.md and its pictures from the result files."""
    from benchmarks.scoreboard import page

    if check:
        if not page.RESULTS_PAGE.is_file() or not page.is_same_page(
            page.RESULTS_PAGE.read_text(encoding="utf-8"), page.render_page()
        ):
            raise SystemExit(f"{page.RESULTS_PAGE}: differs from the results; run python -m benchmarks.scoreboard page")
        return
    for path in page.write_page():
        typer.echo(path)


def parse_options(pairs: list[str]) -> dict[str, Any]:
    """Returns ``path=value`` pairs as a mapping; values are JSON or, where that fails, YAML."""
    split_pairs = (pair.partition("=") for pair in pairs)
    return {name: _parse_value(value) for name, _, value in split_pairs}


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)  # YAML reads 1e3 as a string
    except ValueError:
        return yaml.safe_load(text)


if __name__ == "__main__":
    try:
        app()
    except AnamnesisError as error:
        raise SystemExit(f"error: {error}") from None
