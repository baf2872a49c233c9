"""Predicts the classes of studies from images that training would take. Nothing of a study is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from anamnesis.local.context import SelectedModel
from anamnesis.local.prediction_scope import choose_scope, find_reading_sites, find_scope
from anamnesis.local.signing import unverified_entry_warnings
from anamnesis.local.study_files import open_study_files
from anamnesis.local.study_images import choose_images
from anamnesis.local.versions import find_version
from anamnesis.records import InputError
from anamnesis.registry.operating_points import find_operating_points


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
        probabilities: ``task/class`` -> probability among the competing classes, highest first; empty where no image
            could be read, and where the study is abstained.
        answer: ``task/class``, by the stored threshold where there is one, else the most probable; empty without an
            answer.
        answered_by: ``site``, ``task``, ``body_part`` or ``all_classes``: how the competing classes were chosen; empty
            where no image could be read.
        site: the learned site that the images are most like; empty where it is not known.
        threshold: probability of the second of two classes from which on it is the answer; none where the most
            probable class is the answer.
        is_calibrated: whether one task competes and the probabilities have the temperature of held-out patients.
        abstained_images: number of images that are farther from their site than its limit; none where the site
            that they are most like has no statistics or no limit. A study is abstained where more than half of its
            images are.
        is_abstained: whether the study gets no answer for this reason, or for that of ``refused_task``.
        refused_task: the task that would have been the answer, where none of its sites takes images of the study's
            modality and body part; else empty.
        warnings: about the log that made the version the champion: an entry that nobody verified.
    """

    path: str
    study: int
    version: str
    images: int
    files: tuple[int, ...]
    left_out: Mapping[str, int]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    answer: str = ""
    answered_by: str = ""
    site: str = ""
    threshold: Decimal | None = None
    is_calibrated: bool = False
    abstained_images: int | None = None
    is_abstained: bool = False
    refused_task: str = ""
    warnings: tuple[str, ...] = ()


def predict_studies(
    selected_model: SelectedModel, paths: Sequence[Path], site: str, task: str, version_reference: str
) -> list[StudyPrediction]:
    """Returns the prediction of a version for each study at the paths.

    Args:
        selected_model: the model.
        paths: files, folders and zip files.
        site: whose images they are like; its task's classes compete. Empty: any site that the version has learned.
        task: which task's classes compete. Empty: the task of the site, or of the only sites that declare the study's
            body part, else the classes of all tasks.
        version_reference: which version.

    Raises:
        InputError: a path has no image at all, or an option names nothing.
        RefusedError: the model answers only where the site is known, and no option names it.
    """
    from anamnesis.local.study_answers import answer_studies
    from anamnesis.updates.answers import tasks_of_sites
    from anamnesis.updates.model import load_model

    registry = selected_model.registry
    digest, warnings = find_version(registry, version_reference), unverified_entry_warnings(registry)
    model = load_model(registry, digest)
    learned_tasks = tasks_of_sites(model.description)
    sites = selected_model.resources.sites_of(selected_model.model)
    declared = {resource.name: selected_model.config(resource) for resource in sites}
    if site:
        selected_model.site(site)  # refuses a site that the model does not have
    is_required = selected_model.model.resource.spec.answers.site_required
    scope = choose_scope(learned_tasks, declared, site=site, task=task, site_required=is_required)
    reading_sites = find_reading_sites(scope, learned_tasks, declared, site)
    points = {**model.operating_points, **find_operating_points(registry, digest)}
    predictions = []
    for path in paths:
        with open_study_files(path) as files:
            studies = choose_images(files, reading_sites, model.method.capabilities)
            if not studies:
                raise InputError(
                    f"{str(path)!r}: no image among {len(files)} files; give DICOM, NIfTI, PNG, JPEG or NPZ files, a "
                    "folder or a zip file of them"
                )
            scopes = [scope or find_scope(study, learned_tasks, declared) for study in studies]
            unanswered = [
                StudyPrediction(str(path), number, digest, 0, study.files, study.left_out, warnings=warnings)
                for number, study in enumerate(studies, start=1)
            ]
            predictions += answer_studies(model, studies, scopes, points, unanswered)
    return predictions
