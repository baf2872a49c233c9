"""Predicts the classes of one study. Nothing of the study is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anamnesis.local.context import SelectedModel
from anamnesis.local.versions import find_version
from anamnesis.records import InputError, Sample, Target, find_class_indices

if TYPE_CHECKING:
    from anamnesis.imaging import RawImage
    from anamnesis.updates.model import VersionDescription


@dataclass(frozen=True, slots=True)
class StudyPrediction:
    """The prediction of a version for one study.

    Attributes:
        version: digest.
        images: number of images in the study; their probabilities are averaged.
        probabilities: ``task/class`` -> softmax over the competing classes, highest first. Not calibrated.
    """

    version: str
    images: int
    probabilities: Mapping[str, float]


def predict_study(
    selected_model: SelectedModel, study: Path, site: str, task: str, version_reference: str
) -> StudyPrediction:
    """Returns the prediction of a version for the study at ``study``.

    Args:
        selected_model: the model.
        study: a file or folder.
        site: whose images it is like; empty: the file's modality decides.
        task: which task's classes compete; empty: all.
        version_reference: which version.

    Raises:
        InputError: the study is not readable, or its modality is not clear.
    """
    import torch

    from anamnesis.imaging import read_images
    from anamnesis.methods import PredictionRequest
    from anamnesis.training import precision_for, samples_to_tensors
    from anamnesis.updates.model import load_model

    digest = find_version(selected_model.registry, version_reference)
    model = load_model(selected_model.registry, digest)
    description, labels = model.description, model.description.labels
    columns = _task_columns(description, task)
    raw_images = read_images(study)
    modality = _study_modality(selected_model, raw_images, site)
    placeholder_task = description.visits[0].task  # tensors need a target; nothing reads it
    samples = [
        Sample("study", "", study="", images={modality: raw_image.image}, target=Target(index=0))
        for raw_image in raw_images
    ]
    images = samples_to_tensors(
        samples, placeholder_task, modality=modality, labels=labels, spec=description.configuration.network
    ).images
    precision = precision_for(description.configuration)
    model.method.network.to(precision.device, memory_format=precision.memory_format)  # type: ignore[call-overload]
    with precision.deterministic_mode(), precision.autocast():
        logits = model.method.predict(images.to(precision.device, torch.float32), PredictionRequest(columns)).logits
    if logits is None:
        raise InputError(
            f"version {digest}: its task is not a classification, so it has no class probabilities; choose a version "
            "of a classification model"
        )
    probabilities = logits.float().softmax(1).mean(0).tolist()
    probability_by_class = {labels[column]: probabilities[column] for column in columns or range(len(labels))}
    return StudyPrediction(
        digest, len(raw_images), dict(sorted(probability_by_class.items(), key=lambda item: -item[1]))
    )


def _task_columns(description: "VersionDescription", task: str) -> tuple[int, ...]:
    if not task:
        return ()
    tasks = {visit.task.name: visit.task for visit in description.visits}
    if task not in tasks:
        raise InputError(f"--task: expected one of {', '.join(tasks)}, found {task!r}")
    return find_class_indices(tasks[task], description.labels)


def _study_modality(selected_model: SelectedModel, raw_images: "list[RawImage]", site: str) -> str:
    sites = selected_model.resources.sites_of(selected_model.model)
    if site or len(sites) == 1:
        return selected_model.config(selected_model.site(site)).modalities[0]
    declared_modalities = {code for declared_site in sites for code in selected_model.config(declared_site).modalities}
    study_modalities = {raw_image.header.modality for raw_image in raw_images}
    if len(study_modalities) != 1 or not study_modalities <= declared_modalities:
        modality_names = ", ".join(sorted(filter(None, study_modalities))) or "not given"
        raise InputError(
            f"the modality of the study is {modality_names}, so the site is not clear; give the Site with the same "
            f"kind of images: --site, one of {', '.join(declared_site.name for declared_site in sites)}"
        )
    return study_modalities.pop()
