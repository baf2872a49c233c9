"""``predict``: class probabilities of studies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, VersionOption, format_examples
from anamnesis.records.errors import InputError

if TYPE_CHECKING:
    from anamnesis.local.prediction import StudyPrediction


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(
        epilog=format_examples(
            "anamnesis predict -f model.yaml study.dcm",
            "anamnesis predict -f model.yaml monday/ tuesday.zip --json",
        )
    )(predict)


def predict(
    files: FilesOption,
    studies: Annotated[
        list[Path], typer.Argument(help="Files, folders or zip files. A folder may hold many studies: one answer each.")
    ],
    site: Annotated[
        str, typer.Option(help="Read the studies as images of this site; needed for files without a modality.")
    ] = "",
    task: Annotated[str, typer.Option(help="Only the classes of this task. Default: the classes of all tasks.")] = "",
    version: VersionOption = "champion",
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Predicts the classes of studies with the champion.

    Only images that training would take are read: of the modality and the body part of a site. The answer says what was
    left out and why, by the number of the study below its path. Its files are numbered in the order of their names, in
    a zip file in its order. The exit code is 2 where a path has no answer.

    Research software: not for clinical decisions. Nothing of a study is stored.
    """
    from anamnesis.cli.output import print_note, print_result
    from anamnesis.local.context import select_model
    from anamnesis.local.prediction import predict_studies

    predictions = predict_studies(select_model(files, model), studies, site=site, task=task, version_reference=version)
    for warning in predictions[0].warnings if predictions else ():
        print_note(warning)
    print_result(predictions, _lines(predictions), as_json)
    answered_paths = {prediction.path for prediction in predictions if prediction.probabilities}
    if refused_paths := [path for path in dict.fromkeys(map(str, studies)) if path not in answered_paths]:
        raise InputError(
            f"no prediction for {', '.join(map(repr, refused_paths))}: the model cannot read any image there; give "
            "images of the modality and the body part of a site that the model has learned"
        )


def _ranges(numbers: "Sequence[int]") -> str:
    """Returns ascending numbers with their ranges: ``1-3, 7``."""
    from itertools import groupby

    groups = [
        [number for _, number in group] for _, group in groupby(enumerate(numbers), lambda item: item[1] - item[0])
    ]
    return ", ".join(f"{group[0]}-{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups)


def _lines(predictions: "Sequence[StudyPrediction]") -> Iterator[str]:
    from anamnesis.cli.output import format_table

    for prediction in predictions:
        left_out = "; ".join(f"{count} x {reason}" for reason, count in prediction.left_out.items())
        yield (
            f"{prediction.path}: study {prediction.study} (files {_ranges(prediction.files)}): "
            f"{prediction.images} images read"
            f"{f'; left out: {left_out}' if left_out else ''}"
        )
        if prediction.probabilities:
            rows = [[label, probability] for label, probability in prediction.probabilities.items()]
            yield from format_table(["class", "probability"], rows)
