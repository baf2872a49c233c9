"""``evaluate``, ``report``, ``predict``: what a model can do."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, format_examples

VersionOption = Annotated[str, typer.Option("--version", help="Digest of a version, or enough of its start.")]


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=format_examples("anamnesis evaluate -f model.yaml", "anamnesis evaluate -f model.yaml --version 4f1c9a")
    )(evaluate)
    app.command(
        epilog=format_examples("anamnesis report -f model.yaml --folder report", "anamnesis report -f models/")
    )(report)
    app.command(
        epilog=format_examples(
            "anamnesis predict -f model.yaml study.dcm", "anamnesis predict -f model.yaml study/ --json"
        )
    )(predict)


def evaluate(
    files: FilesOption, version: VersionOption = "champion", model: ModelOption = "", as_json: JsonOption = False
) -> None:
    """Judges a version on the frozen test sets.

    On that of every site that it has learned; what was judged before is not judged again.
    """
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import select_model
    from anamnesis.local.evaluation import evaluate_version

    selected_model = select_model(files, model)
    with open_reporter() as progress_reporter:
        evaluations = evaluate_version(selected_model, version, progress_reporter)
    rows = [
        [
            evaluation.site,
            evaluation.task,
            evaluation.name,
            name,
            *map(_to_float, (metric.value, metric.low, metric.high)),
        ]
        for evaluation in evaluations
        for name, metric in evaluation.metrics.items()
    ]
    print_result(
        evaluations, format_table(["site", "task", "evaluator", "metric", "value", "low", "high"], rows), as_json
    )


def _to_float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def report(
    files: FilesOption,
    folder: Annotated[Path, typer.Option(help="Where report.json and report.html go.")] = Path("report"),
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Draws the report of one or several models.

    One HTML file that needs no network, and the same as JSON.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.context import select_models
    from anamnesis.local.reporting import write_model_report

    path = write_model_report(select_models(files, model), folder)
    print_result({"html": str(path), "json": str(path.with_suffix(".json"))}, [str(path)], as_json)


def predict(
    files: FilesOption,
    study: Annotated[Path, typer.Argument(help="One file, or a folder whose DICOM series make one study.")],
    site: Annotated[
        str, typer.Option(help="Read it as this site's images; needed where the file says no modality.")
    ] = "",
    task: Annotated[str, typer.Option(help="Answer for this task only; by default all classes compete.")] = "",
    version: VersionOption = "champion",
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Asks the champion about one study.

    Research software: not for clinical decisions. Nothing of the study is stored.
    """
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.local.context import select_model
    from anamnesis.local.prediction import predict_study

    prediction = predict_study(select_model(files, model), study, site, task, version)
    rows = [[label, probability] for label, probability in prediction.probabilities.items()]
    print_result(prediction, format_table(["class", "probability"], rows), as_json)
