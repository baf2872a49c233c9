"""``predict``: class probabilities of one study."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, VersionOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis predict -f model.yaml study.dcm", "anamnesis predict -f model.yaml study/ --json"
        )
    )(predict)


def predict(
    files: FilesOption,
    study: Annotated[Path, typer.Argument(help="One file, or a folder whose DICOM series make one study.")],
    site: Annotated[
        str, typer.Option(help="Read the study as an image of this site; needed when the file has no modality.")
    ] = "",
    task: Annotated[str, typer.Option(help="Only the classes of this task. Default: the classes of all tasks.")] = "",
    version: VersionOption = "champion",
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Predicts the class of one study with the champion.

    Research software: not for clinical decisions. Nothing of the study is stored.
    """
    from anamnesis.cli.output import format_table, print_result
    from anamnesis.local.context import select_model
    from anamnesis.local.prediction import predict_study

    prediction = predict_study(select_model(files, model), study, site=site, task=task, version_reference=version)
    rows = [[label, probability] for label, probability in prediction.probabilities.items()]
    print_result(prediction, format_table(["class", "probability"], rows), as_json)
