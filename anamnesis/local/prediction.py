"""Predicts the classes of studies from images that training would take. Nothing of a study is stored."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anamnesis.local.context import SelectedModel
from anamnesis.local.signing import unverified_entry_warnings
from anamnesis.local.study_files import open_study_files
from anamnesis.local.study_images import StudyImages, choose_images
from anamnesis.local.versions import find_version
from anamnesis.records import InputError, Sample, SiteConfig, Target, find_class_indices

if TYPE_CHECKING:
    from torch import Tensor

    from anamnesis.updates.model import LoadedModel, VersionDescription

_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class StudyPrediction:
    """The prediction of a version for one study.

    Attributes:
        path: the path that the person gave.
        study: number of the study below this path, from 1.
        version: digest.
        images: number of its images that were read, a series as one; their probabilities are averaged.
        files: numbers of its files among all files of the path, in the order of their names, from 1; in a zip file in
            the order of the archive.
        left_out: reason -> number of its files that were not read.
        probabilities: ``task/class`` -> softmax over the competing classes, highest first; empty where no image could
            be read. Not calibrated.
        warnings: about the log that made the version the champion: an entry that nobody verified.
    """

    path: str
    study: int
    version: str
    images: int
    files: tuple[int, ...]
    left_out: Mapping[str, int]
    probabilities: Mapping[str, float]
    warnings: tuple[str, ...] = ()


def predict_studies(
    selected_model: SelectedModel, paths: Sequence[Path], site: str, task: str, version_reference: str
) -> list[StudyPrediction]:
    """Returns the prediction of a version for each study at the paths.

    Args:
        selected_model: the model.
        paths: files, folders and zip files.
        site: whose images they are like; empty: all sites that the version has learned.
        task: which task's classes compete; empty: all.
        version_reference: which version.

    Raises:
        InputError: a path has no image at all, or an option names nothing.
    """
    from anamnesis.updates.model import load_model

    registry = selected_model.registry
    digest, warnings = find_version(registry, version_reference), unverified_entry_warnings(registry)
    model = load_model(registry, digest)
    columns = _task_columns(model.description, task)
    sites = _reading_sites(selected_model, model.description, site)
    predictions = []
    for path in paths:
        with open_study_files(path) as files:
            studies = choose_images(files, sites)
            if not studies:
                raise InputError(
                    f"{str(path)!r}: no image among {len(files)} files; give DICOM, NIfTI, PNG, JPEG or NPZ files, a "
                    "folder or a zip file of them"
                )
            results = zip(studies, _predict(model, studies, columns), strict=True)
            predictions += [
                StudyPrediction(str(path), number, digest, images, study.files, left_out, probabilities, warnings)
                for number, (study, (images, left_out, probabilities)) in enumerate(results, start=1)
            ]
    return predictions


def _reading_sites(selected_model: SelectedModel, description: "VersionDescription", site: str) -> list[SiteConfig]:
    """Returns the settings of the sites by whose rules images are read: one, or all that the version has learned."""
    configs = [selected_model.config(declared) for declared in selected_model.resources.sites_of(selected_model.model)]
    learned_names = {visit.site for visit in description.visits}
    learned_configs = [config for config in configs if config.name in learned_names] or configs
    if not site:
        return learned_configs
    config = selected_model.config(selected_model.site(site))
    if config.modalities[0] not in {learned.modalities[0] for learned in learned_configs}:
        raise InputError(
            f"--site: the version has not learned images of modality {config.modalities[0]}, as site {site!r} has; "
            f"choose one of {', '.join(learned.name for learned in learned_configs)}, or another --version"
        )
    return [config]


def _task_columns(description: "VersionDescription", task: str) -> tuple[int, ...]:
    if not task:
        return ()
    tasks = {visit.task.name: visit.task for visit in description.visits}
    if task not in tasks:
        raise InputError(f"--task: expected one of {', '.join(tasks)}, found {task!r}")
    return find_class_indices(tasks[task], description.labels)


def _predict(
    model: "LoadedModel", studies: Sequence[StudyImages], columns: tuple[int, ...]
) -> Iterator[tuple[int, Mapping[str, int], Mapping[str, float]]]:
    """Yields the number of images, the files left out and the probabilities of each study."""
    rows: dict[int, list[Tensor]] = defaultdict(list)
    unreadable: dict[int, Counter[str]] = defaultdict(Counter)
    for modality in dict.fromkeys(study.modality for study in studies if study.images):
        batch: list[tuple[int, Sample]] = []
        for number, sample, reason in _load(studies, modality):
            if sample is None:
                unreadable[number][reason] += 1
                continue
            batch.append((number, sample))
            if len(batch) == _BATCH_SIZE:
                _predict_batch(model, batch, modality, columns, rows)
                batch = []
        if batch:
            _predict_batch(model, batch, modality, columns, rows)
    labels = model.description.labels
    for number, study in enumerate(studies):
        left_out = dict(Counter(study.left_out) + unreadable[number])
        probabilities = sum(rows[number][1:], rows[number][0]) / len(rows[number]) if rows[number] else None
        by_class = (
            {}
            if probabilities is None
            else {labels[column]: float(probabilities[column]) for column in columns or range(len(labels))}
        )
        yield len(rows[number]), left_out, dict(sorted(by_class.items(), key=lambda item: -item[1]))


def _load(studies: Sequence[StudyImages], modality: str) -> Iterator[tuple[int, Sample | None, str]]:
    """Yields the number of the study and one of its images, or the reason why the image is not readable."""
    from anamnesis.snapshots.image_loading import load_images
    from anamnesis.snapshots.parallel import serial_map

    images = [
        (number, image) for number, study in enumerate(studies) if study.modality == modality for image in study.images
    ]
    for loaded in load_images([image for _, image in images], 0, serial_map):
        number = images[loaded.study_index][0]
        if loaded.image is None:
            yield number, None, str(loaded.reason)
        else:
            sample = Sample("study", "", study="", images={modality: loaded.image}, target=Target(index=0))
            yield number, sample, ""


def _predict_batch(
    model: "LoadedModel",
    batch: Sequence[tuple[int, Sample]],
    modality: str,
    columns: tuple[int, ...],
    rows: dict[int, "list[Tensor]"],
) -> None:
    """Adds the probabilities of each image to those of its study."""
    import torch

    from anamnesis.methods import PredictionRequest
    from anamnesis.training import precision_for, samples_to_tensors

    description = model.description
    placeholder_task = description.visits[0].task  # tensors need a target; nothing reads it
    images = samples_to_tensors(
        [sample for _, sample in batch],
        placeholder_task,
        modality=modality,
        labels=description.labels,
        spec=description.configuration.network,
    ).images
    precision = precision_for(description.configuration)
    precision.move_to_device(model.method.network)
    with precision.deterministic_mode(), precision.autocast():
        logits = model.method.predict(images.to(precision.device, torch.float32), PredictionRequest(columns)).logits
    if logits is None:
        raise InputError(
            "--version: the task of this version is not a classification, so it has no class probabilities; choose a "
            "version of a classification model"
        )
    for (number, _), probabilities in zip(batch, logits.float().softmax(1).cpu(), strict=True):
        rows[number].append(probabilities)
