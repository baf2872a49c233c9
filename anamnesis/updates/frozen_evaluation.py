"""Evaluation of a version on the frozen test sets of its sites."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.evaluation.class_recall import class_recalls
from anamnesis.evaluation.metrics import classification_metrics, dice
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.methods import PredictionRequest
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    Calibration,
    Evaluation,
    InputError,
    Metric,
    Progress,
    Sample,
    SiteRef,
    Split,
    Task,
    TaskType,
    digest_json,
    find_class_indices,
    ignore_progress,
)
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import FORGETTING
from anamnesis.snapshots import Guard, open_test_set
from anamnesis.snapshots.testsets import check_task, find_test_set
from anamnesis.storage.store import Store, open_store
from anamnesis.training import TensorSplit, precision_for, samples_to_tensors
from anamnesis.updates.calibration import fit_calibration, open_calibration_samples, task_logits
from anamnesis.updates.model import LoadedModel, load_model

BATCH_SIZE = 64  # the allocator returns larger maps to the system after each batch: page faults took most of the time
EVALUATOR = digest_json({"name": FORGETTING, "revision": 4})


def evaluate_frozen(
    store: Store, version: str, sites: Sequence[SiteRef], progress: Progress = ignore_progress
) -> tuple[Evaluation, ...]:
    """Evaluates a version on the frozen test set of every site whose task it knows, and stores the evaluations.

    A test set that this evaluator has already used for the version is not opened again.

    Args:
        store: the model's registry.
        version: digest of the version.
        sites: with their stores and test sets.
        progress: called per site.
    """
    evaluations = {
        stored_evaluation.test_set: stored_evaluation
        for stored_evaluation in read_evaluations(store, version)
        if stored_evaluation.evaluator == EVALUATOR
    }
    pending_sites = [site for site in sites if site.test_set not in evaluations]
    model = load_model(store, version) if pending_sites else None
    for site_number, site in enumerate(pending_sites, start=1):
        if model and (cases := read_test_cases(model, site)):
            metrics, logits = _score_with_logits(model, site.task, cases)
            evaluation = Evaluation(
                version=version,
                site=site.name,
                task=site.task.name,
                test_set=site.test_set,
                evaluator=EVALUATOR,
                name=FORGETTING,
                metrics=metrics,
                patients=len(set(cases.patients)),
                class_patients=_fewest_patients(site.task, cases),
                calibration=None if logits is None else _calibrate(model, site, cases, logits),
            )
            evaluations[site.test_set] = write_evaluation(store, evaluation)
        progress(site_number, len(pending_sites), "test sets")
    return tuple(evaluations[site.test_set] for site in sites if site.test_set in evaluations)


@dataclass(frozen=True, slots=True)
class EvaluationCases:
    """Cases in memory.

    Attributes:
        split: images and targets.
        class_indices: of their task.
        patients: [N], the pseudonym of the patient of each case.
    """

    split: TensorSplit
    class_indices: tuple[int, ...]
    patients: tuple[str, ...]


def read_test_cases(model: LoadedModel, site: SiteRef) -> EvaluationCases | None:
    """Returns a site's test set in the model's format, or none where the model does not know the task.

    Raises:
        RefusedError: the test set was frozen for another task, or for classes in another order.
    """
    if any(label not in model.description.labels for label in site.task.labels):
        return None
    guard, store = Guard({site.test_set: frozenset({Split.TEST})}), open_store(site.store)
    check_task((find_test_set(store, site.test_set),), site.task)
    return cases_of_site(model, site, open_test_set(store, site.test_set, guard))


def cases_of_site(model: LoadedModel, site: SiteRef, samples: Iterable[Sample]) -> EvaluationCases:
    """Returns a site's samples in the model's format.

    Raises:
        InputError: there are no samples, or the model does not know the site's task.
    """
    labels, all_samples = model.description.labels, list(samples)
    class_indices = find_class_indices(site.task, labels)
    split = samples_to_tensors(
        all_samples, site.task, modality=site.modality, labels=labels, spec=model.description.configuration.network
    )
    return EvaluationCases(split, class_indices, tuple(sample.patient for sample in all_samples))


def score_cases(model: LoadedModel, task: Task, cases: EvaluationCases) -> dict[str, Metric]:
    """Returns a version's scores on the cases of a task, by metric.

    Raises:
        InputError: the type of the task has no evaluator, or the method returned no output for it.
    """
    return _score_with_logits(model, task, cases)[0]


def _score_with_logits(
    model: LoadedModel, task: Task, cases: EvaluationCases
) -> tuple[dict[str, Metric], Tensor | None]:
    """Returns the scores and, for a classification, the logits [N, K]."""
    if task.type is TaskType.CLASSIFICATION:
        logits = _predict_logits(model, cases)
        targets, class_indices = cases.split.targets, cases.class_indices
        answers = torch.tensor(class_indices)[logits[:, list(class_indices)].argmax(1)]
        recalls = class_recalls(answers, targets, class_indices, classes=task.classes, patients=cases.patients)
        return classification_metrics(logits, targets, class_indices, cases.patients, answers) | recalls, logits
    if task.type is TaskType.SEGMENTATION:
        precision = precision_for(model.description.configuration)
        precision.move_to_device(model.method.network)
        with precision.deterministic_mode(), precision.autocast():
            return _score_masks(model, cases, precision.device), None
    raise InputError(
        f"task {task.name!r}: type: expected Classification or Segmentation, found {task.type.value}, which cannot be "
        "evaluated yet; create a Site with a supported spec.task.type"
    )


def _predict_logits(model: LoadedModel, cases: EvaluationCases) -> Tensor:
    precision = precision_for(model.description.configuration)
    precision.move_to_device(model.method.network)
    with precision.deterministic_mode(), precision.autocast():
        return torch.cat(list(_logits(model, cases.split.images, precision.device)))


def _calibrate(model: LoadedModel, site: SiteRef, cases: EvaluationCases, logits: Tensor) -> Calibration | None:
    digest, samples = open_calibration_samples(site)
    if not digest:
        return None
    calibration_cases = cases_of_site(model, site, samples)
    calibration_logits = _predict_logits(model, calibration_cases)
    return fit_calibration(
        digest,
        task_logits(calibration_logits, calibration_cases.split.targets, cases.class_indices),
        task_logits(logits, cases.split.targets, cases.class_indices),
    )


def _fewest_patients(task: Task, cases: EvaluationCases) -> int | None:
    """Returns the number of patients of the class with the fewest, or none for a task without classes."""
    if task.type is not TaskType.CLASSIFICATION:
        return None
    patients_by_class: dict[int, set[str]] = {column: set() for column in cases.class_indices}
    for column, patient in zip(cases.split.targets.tolist(), cases.patients, strict=True):
        patients_by_class[column].add(patient)
    return max(min(map(len, patients_by_class.values())), MINIMUM_CELL_PATIENTS - 1)


def _logits(model: LoadedModel, images: Tensor, device: torch.device) -> Iterator[Tensor]:
    for chunk in torch.split(images, BATCH_SIZE):
        logits = model.method.predict(chunk.to(device, torch.float32), PredictionRequest()).logits
        if logits is None:
            raise InputError(
                f"method {model.method.name!r} returned no class scores for a classification task: this is a fault of "
                "the method; choose another method, and report the fault with the log"
            )
        yield logits.float().cpu()


def _score_masks(model: LoadedModel, cases: EvaluationCases, device: torch.device) -> dict[str, Metric]:
    scores, split = [], cases.split
    for images, masks in zip(
        torch.split(split.images, BATCH_SIZE), torch.split(split.targets, BATCH_SIZE), strict=True
    ):
        mask_logits = model.method.predict(images.to(device, torch.float32), PredictionRequest()).mask_logits
        if mask_logits is None:
            raise InputError(
                f"method {model.method.name!r} returned no masks for a segmentation task: this is a fault of the "
                "method; choose another method, and report the fault with the log"
            )
        scores.append(dice(mask_logits.argmax(1).cpu(), masks, mask_logits.shape[1]).mean(1))
    return mean_metrics({"Dice": torch.cat(scores)}, cases.patients)
