"""``evaluate``, ``report``, ``predict``: what a model can do."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import Files, Json, ModelName, examples

Which = Annotated[str, typer.Option("--version", help="Digest of a version, or enough of its start.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=examples("anamnesis evaluate -f model.yaml", "anamnesis evaluate -f model.yaml --version 4f1c9a")
    )(evaluate)
    app.command(epilog=examples("anamnesis report -f model.yaml --folder report", "anamnesis report -f models/"))(
        report
    )
    app.command(
        epilog=examples("anamnesis predict -f model.yaml study.dcm", "anamnesis predict -f model.yaml study/ --json")
    )(predict)


def evaluate(files: Files, version: Which = "champion", model: ModelName = "", as_json: Json = False) -> None:
    """Judges a version on the frozen test sets.

    On that of every site that it has learned; what was judged before is not judged again.
    """
    from anamnesis.cli.output import show, table
    from anamnesis.cli.progress import reporter
    from anamnesis.local.context import select
    from anamnesis.local.evaluation import evaluate_version

    selected = select(files, model)
    with reporter() as tell:
        found = evaluate_version(selected, version, tell)
    rows = [
        [each.site, each.task, each.name, name, *map(_number, (metric.value, metric.low, metric.high))]
        for each in found
        for name, metric in each.metrics.items()
    ]
    show(found, table(["site", "task", "evaluator", "metric", "value", "low", "high"], rows), as_json)


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def report(
    files: Files,
    folder: Annotated[Path, typer.Option(help="Where report.json and report.html go.")] = Path("report"),
    model: ModelName = "",
    as_json: Json = False,
) -> None:
    """Draws the report of one or several models.

    One HTML file that needs no network, and the same as JSON.
    """
    from anamnesis.cli.output import show
    from anamnesis.local.context import select_all
    from anamnesis.local.reporting import write

    path = write(select_all(files, model), folder)
    show({"html": str(path), "json": str(path.with_suffix(".json"))}, [str(path)], as_json)


def predict(
    files: Files,
    study: Annotated[Path, typer.Argument(help="One file, or a folder whose DICOM series make one study.")],
    site: Annotated[
        str, typer.Option(help="Read it as this site's images; needed where the file says no modality.")
    ] = "",
    task: Annotated[str, typer.Option(help="Answer for this task only; by default all classes compete.")] = "",
    version: Which = "champion",
    model: ModelName = "",
    as_json: Json = False,
) -> None:
    """Asks the champion about one study.

    Research software: not for clinical decisions. Nothing of the study is stored.
    """
    from anamnesis.cli.output import show, table
    from anamnesis.local.context import select
    from anamnesis.local.prediction import predict_study

    answer = predict_study(select(files, model), study, site, task, version)
    rows = [[label, chance] for label, chance in answer.probabilities.items()]
    show(answer, table(["class", "probability"], rows), as_json)
