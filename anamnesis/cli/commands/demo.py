"""``demo``: the demonstration on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import JsonOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=format_examples("anamnesis demo", "anamnesis demo --fresh --folder /tmp/demo"))(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for all files of the demonstration.")] = Path("demo"),
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Delete earlier results and start over. Default: continue."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Runs the demonstration on this machine.

    Three methods learn four sites, one site after the other; then it writes the report. It uses the real images in
    ANAMNESIS_DATA, or generates phantoms.
    """
    from anamnesis.demo import run_demo

    run_demo(folder, fresh, as_json)
