"""``evaluate``: the scores of a version on the frozen test sets."""

from decimal import Decimal

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, VersionOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples("anamnesis evaluate -f model.yaml", "anamnesis evaluate -f model.yaml --version 4f1c9a")
    )(evaluate)


def evaluate(
    files: FilesOption, version: VersionOption = "champion", model: ModelOption = "", as_json: JsonOption = False
) -> None:
    """Evaluates a version on the frozen test sets.

    Uses the test set of every site that the version has learned. Stored evaluations are reused.
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
