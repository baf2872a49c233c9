"""The answers of a version to studies: of every image, and from these of the study."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from anamnesis.local.prediction_scope import AnswerScope, find_refused_task
from anamnesis.local.study_images import LACKS_MODALITY, StudyImages
from anamnesis.records import Image, OperatingPoint, Sample, Target
from anamnesis.snapshots.image_loading import load_images
from anamnesis.snapshots.parallel import serial_map
from anamnesis.training import samples_to_tensors
from anamnesis.training.split_arrays import rows
from anamnesis.updates.answers import (
    CaseAnswers,
    CaseOutputs,
    answer,
    compute_outputs,
    join_images,
    join_outputs,
    tasks_of_sites,
)
from anamnesis.updates.model import LoadedModel

if TYPE_CHECKING:  # that module imports this one where it is used
    from anamnesis.local.prediction import StudyPrediction


def answer_studies(
    model: LoadedModel,
    studies: Sequence[StudyImages],
    scopes: Sequence[AnswerScope],
    points: Mapping[str, OperatingPoint],
    unanswered: "Sequence[StudyPrediction]",
) -> "list[StudyPrediction]":
    """Returns the predictions of studies with their answers; studies of one scope are answered together.

    Args:
        model: the version.
        studies: with their images.
        scopes: of each study, whose classes compete.
        points: site -> operating point.
        unanswered: the predictions without answers, in the order of the studies.
    """
    study_numbers: list[int] = []
    outputs: list[CaseOutputs] = []
    unreadable: dict[int, Counter[str]] = defaultdict(Counter)
    for modalities in dict.fromkeys(study.modalities for study in studies if study.images):
        for numbers, samples in _batches(studies, modalities, unreadable):
            study_numbers += numbers
            outputs.append(_outputs_of_samples(model, samples, modalities))
    predictions = [
        replace(prediction, left_out=dict(Counter(prediction.left_out) + unreadable[number]))
        for number, prediction in enumerate(unanswered)
    ]
    learned_tasks = tasks_of_sites(model.description)
    for scope in dict.fromkeys(scopes if outputs else ()):
        rows = [row for row, number in enumerate(study_numbers) if scopes[number] == scope]
        if rows:
            numbers = [study_numbers[row] for row in rows]
            for number, prediction in _answer_scope(
                model, join_outputs(outputs)[rows], numbers, scope, points, predictions
            ):
                refused_task = find_refused_task(studies[number], scope, prediction.answer, learned_tasks)
                predictions[number] = _without_answer(prediction, refused_task) if refused_task else prediction
    return predictions


def _batches(
    studies: Sequence[StudyImages], modalities: tuple[str, ...], unreadable: Mapping[int, Counter[str]]
) -> Iterator[tuple[list[int], list[Sample]]]:
    """Yields images with the numbers of their studies, and counts the reasons of images that are not readable."""
    images = [
        (number, image)
        for number, study in enumerate(studies)
        if study.modalities == modalities
        for image in study.images
    ]
    incomplete: dict[int, dict[str, Image]] = defaultdict(dict)
    numbers: list[int] = []
    samples: list[Sample] = []
    size = 0
    for loaded in load_images([image for _, image in images], 0, serial_map):
        number = images[loaded.study_index][0]
        if loaded.image is None:
            unreadable[number][str(loaded.reason)] += 1
            continue
        incomplete[loaded.study_index][loaded.name] = loaded.image
        if len(incomplete[loaded.study_index]) < len(modalities):
            continue
        complete = incomplete.pop(loaded.study_index)
        numbers.append(number)
        samples.append(Sample("study", "", study="", images=complete, target=Target(index=0)))
        size += sum(4 * image.pixels.size for image in complete.values())  # as float32, before it is resized
        if len(samples) == rows.BATCH_SAMPLES or size >= rows.BATCH_BYTES:
            yield numbers, samples
            numbers, samples, size = [], [], 0
    if samples:
        yield numbers, samples
    for index, loaded_images in incomplete.items():
        unreadable[images[index][0]][LACKS_MODALITY] += len(loaded_images)


def _outputs_of_samples(model: LoadedModel, samples: Sequence[Sample], modalities: tuple[str, ...]) -> CaseOutputs:
    description = model.description
    placeholder_task = description.visits[0].task  # tensors need a target; nothing reads it
    split = samples_to_tensors(
        samples,
        placeholder_task,
        modalities=modalities,
        labels=description.labels,
        spec=description.configuration.network,
    )
    return compute_outputs(model, split.inputs)


def _answer_scope(
    model: LoadedModel,
    outputs: CaseOutputs,
    study_numbers: Sequence[int],
    scope: AnswerScope,
    points: Mapping[str, OperatingPoint],
    predictions: "Sequence[StudyPrediction]",
) -> "Iterator[tuple[int, StudyPrediction]]":
    """Yields the number of each study with images, and its prediction."""
    numbers = sorted(set(study_numbers))
    rows = torch.tensor([numbers.index(number) for number in study_numbers])
    images = answer(model, outputs, points, scope.sites)
    answers = join_images(model, images, points, rows)
    abstained_counts = torch.bincount(rows[images.is_abstained], minlength=len(numbers)).tolist()
    for row, number in enumerate(numbers):
        prediction = replace(
            predictions[number],
            images=int((rows == row).sum()),
            answered_by=scope.answered_by.value,
            site=answers.site_of(row),
            abstained_images=abstained_counts[row] if answers.can_abstain[row] else None,
            is_abstained=bool(answers.is_abstained[row]),
        )
        yield number, prediction if prediction.is_abstained else _with_classes(prediction, model, answers, row, points)


def _without_answer(prediction: "StudyPrediction", refused_task: str) -> "StudyPrediction":
    return replace(
        prediction,
        probabilities={},
        answer="",
        threshold=None,
        is_calibrated=False,
        is_abstained=True,
        refused_task=refused_task,
    )


def _with_classes(
    prediction: "StudyPrediction",
    model: LoadedModel,
    answers: CaseAnswers,
    row: int,
    points: Mapping[str, OperatingPoint],
) -> "StudyPrediction":
    """Returns the prediction with the answered class, the probabilities, and how they were made."""
    labels = model.description.labels
    values = answers.probabilities[row].tolist()
    by_class = {labels[column]: values[column] for column in answers.competing_columns}
    return replace(
        prediction,
        probabilities=dict(sorted(by_class.items(), key=lambda item: -item[1])),
        answer=labels[int(answers.columns[row])],
        threshold=points[prediction.site].threshold if prediction.site in points else None,
        is_calibrated=answers.is_calibrated,
    )
