"""``report``: one HTML page about one or several models."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples("anamnesis report -f model.yaml --folder report", "anamnesis report -f models/")
    )(report)


def report(
    files: FilesOption,
    folder: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")] = Path("report"),
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Writes the report of one or several models.

    One HTML file that needs no network, and the same content as JSON.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.context import select_models
    from anamnesis.local.reporting import write_model_report

    path = write_model_report(select_models(files, model), folder)
    print_result({"html": str(path), "json": str(path.with_suffix(".json"))}, [str(path)], as_json)
