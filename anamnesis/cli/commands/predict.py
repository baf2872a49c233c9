"""``predict``: class probabilities of studies."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anamnesis.cli.options import FilesOption, JsonOption, ModelOption, VersionOption, format_examples
from anamnesis.records.errors import InputError, RefusedError

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
        str,
        typer.Option(
            help="The studies are of this site: they are read by its rules, and only the classes of its task compete. "
            "Needed for files without a modality where sites differ in it."
        ),
    ] = "",
    task: Annotated[str, typer.Option(help="Only the classes of this task compete.")] = "",
    version: VersionOption = "champion",
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Predicts the classes of studies with the champion.

    Only images that training would take are read: of the modality and the body part of a site. The answer says what was
    left out and why, by the number of the study below its path. Its files are numbered in the order of their names, in
    a zip file in its order.

    A known site or task decides whose classes compete: by --site or --task, or by the study's BodyPartExamined where
    only sites of one task declare it. Else the classes of all tasks compete, and the answer says so. A study whose
    images are unlike those of its site gets no answer, and so does one that is most like a task whose sites take no
    images of its modality and body part. The exit code is 2 where no image of a path could be read, and 3
    where every study of a path is without an answer for these reasons.

    Research software: not for clinical decisions. Nothing of a study is stored.
    """
    from anamnesis.cli.output import print_note, print_result
    from anamnesis.local.context import select_model
    from anamnesis.local.prediction import predict_studies

    predictions = predict_studies(select_model(files, model), studies, site=site, task=task, version_reference=version)
    for warning in predictions[0].warnings if predictions else ():
        print_note(warning)
    print_result(predictions, _lines(predictions), as_json)
    paths = dict.fromkeys(map(str, studies))
    read_paths = {prediction.path for prediction in predictions if prediction.images}
    if unread_paths := [path for path in paths if path not in read_paths]:
        raise InputError(
            f"no prediction for {', '.join(map(repr, unread_paths))}: the model cannot read any image there; give "
            "images of the modality and the body part of a site that the model has learned"
        )
    answered_paths = {prediction.path for prediction in predictions if prediction.answer}
    if abstained_paths := [path for path in paths if path not in answered_paths]:
        raise RefusedError(
            f"no answer for {', '.join(map(repr, abstained_paths))}: the images there are unlike those that the model "
            "has learned; check organ, modality and --site, and let a person read them"
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
        if prediction.answer:
            rows = [[label, probability] for label, probability in prediction.probabilities.items()]
            yield from format_table(["class", "probability"], rows)
        if prediction.images:
            yield _describe_answer(prediction)


_HOW = {
    "site": "the site is known by --site",
    "task": "the task is known by --task",
    "body_part": "the task is known by the body part",
    "all_classes": "the site is not known, so the classes of all tasks compete",
}


def _describe_answer(prediction: "StudyPrediction") -> str:
    """Returns the answer, or the reason why there is none, and how it was made."""
    how = _HOW[prediction.answered_by]
    if prediction.refused_task:
        return (
            f"no answer: the study is most like those of task {prediction.refused_task!r}, but no site of this task "
            f"takes images of its modality and body part ({how})"
        )
    if prediction.is_abstained:
        return (
            f"no answer: {prediction.abstained_images} of {prediction.images} images are farther from site "
            f"{prediction.site!r} than its limit ({how})"
        )
    parts = [how, "probabilities are calibrated" if prediction.is_calibrated else "probabilities are not calibrated"]
    if prediction.threshold is not None:
        parts.insert(1, f"threshold {prediction.threshold} of site {prediction.site!r}")
    if prediction.abstained_images is None:
        parts.append("no abstention: the version has no statistics or no limit of the site")
    return f"answer: {prediction.answer} ({'; '.join(parts)})"
