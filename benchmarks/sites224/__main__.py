"""The command line: ``python -m benchmarks.sites224 run --sequence site-224 --family ewc --method ewc``."""

import re
from pathlib import Path
from typing import Annotated

import typer

from anamnesis.records import AnamnesisError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Methods of continual learning side by side, at 224 pixels."""


@app.command()
def run(
    method: Annotated[str, typer.Option(help="Registered name.")],
    sequence: Annotated[str, typer.Option(help="Which sites.")] = "development",
    family: Annotated[str, typer.Option(help="Name of its settings.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="path=value; may be repeated.")] = None,
    seed: int = 0,
    order: int = 0,
    learning_rate: float = 3e-4,
    frozen: str = "stages 1-4",
    out: Annotated[Path, typer.Option(help="JSON-lines file.")] = Path("build/sites224/runs.jsonl"),
) -> None:
    """Runs one method through one sequence, prints a summary and stores the result."""
    import torch

    from benchmarks.scoreboard.__main__ import parse_options
    from benchmarks.scoreboard.options import nest_options
    from benchmarks.sites224 import results_file
    from benchmarks.sites224.run import run as run_setting
    from benchmarks.sites224.setting import SequenceSetting

    torch.set_num_threads(1)
    options = nest_options(parse_options(option or []))
    setting = SequenceSetting(sequence, family or method, method, options, seed, order, learning_rate, frozen)
    result = run_setting(setting)
    results_file.write_result(result, out)
    typer.echo(results_file.describe(result))


@app.command()
def trials(
    hours: Annotated[float, typer.Option(help="No run begins after this time.")] = 8.0,
    workers: Annotated[int, typer.Option(help="Runs side by side, each on one core.")] = 1,
    families: Annotated[str, typer.Option(help="Regular expression on their names.")] = "",
) -> None:
    """Tries the settings of every family on training patients, and writes the choices."""
    from benchmarks.sites224 import choices, schedule

    settings = [setting for setting in schedule.planned_trials() if re.search(families, setting.family)]
    failed = schedule.run_all(settings, choices.TRIALS_FILE, hours, workers, typer.echo)
    choices.write_choices(choices.choose())
    raise typer.Exit(1 if failed else 0)


@app.command("all")
def run_all(
    hours: Annotated[float, typer.Option(help="No run begins after this time.")] = 8.0,
    workers: Annotated[int, typer.Option(help="Runs side by side, each on one core.")] = 1,
    families: Annotated[str, typer.Option(help="Regular expression on their names.")] = "",
) -> None:
    """Runs all rows without a result; continues where the last call stopped."""
    from benchmarks.sites224 import choices, schedule

    settings = [run for run in schedule.planned_runs(choices.read_choices()) if re.search(families, run.family)]
    raise typer.Exit(1 if schedule.run_all(settings, choices.RUNS_FILE, hours, workers, typer.echo) else 0)


@app.command("floors")
def measure_floors() -> None:
    """Measures histograms on every site, and one hard site by five folds over its patients."""
    import json

    import torch

    from anamnesis.records import encode_object
    from benchmarks.sites224 import floors, page

    torch.set_num_threads(1)
    document = encode_object(floors.measure_floors())
    page.FLOORS_FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    typer.echo(json.dumps(document, indent=1))


@app.command("page")
def write_page(
    check: Annotated[bool, typer.Option("--check", help="Only compare the page with the results.")] = False,
) -> None:
    """Writes docs/results.md from the result files."""
    from benchmarks.sites224 import page

    if not check:
        typer.echo(page.write_page())
    elif not page.is_same_page(page.RESULTS_PAGE.read_text(encoding="utf-8"), page.render_page()):
        raise SystemExit(f"{page.RESULTS_PAGE}: differs from the results; run python -m benchmarks.sites224 page")


if __name__ == "__main__":
    try:
        app()
    except AnamnesisError as error:
        raise SystemExit(f"error: {error}") from None
