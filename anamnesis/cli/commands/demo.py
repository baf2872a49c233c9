"""``demo``: the main job, end to end, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import JsonOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=format_examples("anamnesis demo", "anamnesis demo --fresh --folder /tmp/demo"))(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew; without it, continue or show what is there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Runs the main job on this machine.

    Four sites arrive one after the other; three methods learn them side by side; then the report. Uses real images
    where ANAMNESIS_DATA points to them, else phantoms that it generates.
    """
    from anamnesis.demo import run_demo

    run_demo(folder, fresh, as_json)
