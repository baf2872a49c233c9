"""The command line: ``python -m benchmarks.scoreboard run --sequence development --method finetune``."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from anamnesis.records import AnamnesisError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
SCRATCH = Path("build/scoreboard")


@app.callback()
def main() -> None:
    """Methods of continual learning side by side."""


@app.command()
def run(
    method: Annotated[str, typer.Option(help="Registered name.")],
    sequence: Annotated[str, typer.Option(help="Which sites.")] = "development",
    option: Annotated[list[str] | None, typer.Option(help="name=value, as in YAML; again for each.")] = None,
    seed: int = 0,
    order: int = 0,
    epochs: int = 8,
    row: Annotated[str, typer.Option(help="Label on the page.")] = "",
    out: Annotated[Path | None, typer.Option(help="Result file; by default in build/scoreboard.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small images, few of them.")] = False,
) -> None:
    """Runs one method through one sequence, prints what it kept and writes one JSON file."""
    from benchmarks.scoreboard import result, summary
    from benchmarks.scoreboard.run import run as run_one

    setting = result.Setting(
        sequence, method, options_of(option or []), row or method, seed, order, epochs if not quick else 4, quick
    )
    found = run_one(setting)
    path = result.write(found, out or SCRATCH / f"{sequence}-{summary.slug(setting)}.json")
    typer.echo(summary.in_words(found))
    typer.echo(f"written to {path}")


def options_of(pairs: list[str]) -> dict[str, Any]:
    """Returns ``name=value`` pairs as a mapping, each value read as YAML."""
    named = (pair.partition("=") for pair in pairs)
    return {name: yaml.safe_load(value) for name, _, value in named}


if __name__ == "__main__":
    try:
        app()
    except AnamnesisError as error:
        raise SystemExit(f"error: {error}") from None
