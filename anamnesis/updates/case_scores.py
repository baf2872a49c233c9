"""The scores of a version on the cases of one task: its answers with a known site, and without."""

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from anamnesis.evaluation.calibration_metrics import calibration_metrics
from anamnesis.evaluation.class_recall import class_recalls
from anamnesis.evaluation.details import evaluation_details
from anamnesis.evaluation.metrics import classification_metrics, share_metric
from anamnesis.evaluation.paired_differences import ScoredCases
from anamnesis.evaluation.patient_intervals import index_patients
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    EvaluationDetails,
    InputError,
    Metric,
    OperatingPoint,
    TaskType,
    find_class_indices,
)
from anamnesis.updates.answers import answer
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.evaluated_version import EvaluatedVersion


def score_cases(version: EvaluatedVersion, cases: CaseSet, points: Mapping[str, OperatingPoint]) -> dict[str, Metric]:
    """Returns a version's scores on the cases of a task, by metric.

    Args:
        version: it knows the task.
        cases: of one site.
        points: site -> operating point.

    Raises:
        InputError: the type of the task has no evaluator, or the method returned no output for it.
    """
    task = cases.site.task
    if task.type is TaskType.SEGMENTATION:
        return mean_metrics({"Dice": version.dice(cases)}, cases.patients)
    if task.type is TaskType.CLASSIFICATION:
        return _score_classes(version, cases, points)
    raise InputError(
        f"task {task.name!r}: type: expected Classification or Segmentation, found {task.type.value}, which cannot be "
        "evaluated yet; create a Site with a supported spec.task.type"
    )


def describe_cases(version: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None) -> EvaluationDetails | None:
    """Returns the tables and curves of a classification for reports; none for another task."""
    if cases.site.task.type is not TaskType.CLASSIFICATION:
        return None
    scored = version.score(cases, point)
    return evaluation_details(
        scored.logits.softmax(1),
        cases.positions,
        scored.answers,
        classes=cases.site.task.classes,
        patients=cases.patients,
        attributes=cases.attributes,
    )


def count_fewest_patients(cases: CaseSet) -> int | None:
    """Returns the number of patients of the class with the fewest, or none for a task without classes."""
    if cases.site.task.type is not TaskType.CLASSIFICATION:
        return None
    counts = Counter(position for position, _ in set(zip(cases.positions.tolist(), cases.patients, strict=True)))
    fewest = min(counts[position] for position in range(len(cases.site.task.classes)))
    return max(fewest, MINIMUM_CELL_PATIENTS - 1)


def _score_classes(
    version: EvaluatedVersion, cases: CaseSet, points: Mapping[str, OperatingPoint]
) -> dict[str, Metric]:
    task, labels, site = cases.site.task, version.description.labels, cases.site.name
    columns, patients = find_class_indices(task, labels), cases.patients
    task_columns, patient_index = torch.tensor(columns), index_patients(patients)
    scored = version.score(cases, points.get(site))
    targets, answers = task_columns[cases.positions], task_columns[scored.answers]
    outputs, model = version.outputs(cases), version.load()
    without_site = answer(model, outputs, points)
    answers_without_site = without_site.columns.masked_fill(without_site.is_abstained, -1)
    is_learned = any(visit.site == site for visit in version.description.visits)
    with_site = answer(model, outputs, points, (site,)) if is_learned else without_site
    metrics = classification_metrics(
        _spread(scored, columns, outputs.logits),
        targets,
        columns,
        patients,
        answers=answers,
        answers_without_site=answers_without_site,
    )
    metrics |= class_recalls(answers, targets, columns, classes=task.classes, patients=patients)
    metrics |= calibration_metrics(scored.logits, cases.positions, patients)
    if bool(with_site.can_abstain.all()):
        metrics["Abstained"] = share_metric(with_site.is_abstained, patient_index)
    if len({visit.task.name for visit in version.description.visits}) > 1:
        metrics["SiteInferred"] = share_metric(torch.isin(without_site.columns, task_columns), patient_index)
    return metrics


def _spread(scored: ScoredCases, columns: tuple[int, ...], logits: Tensor) -> Tensor:
    """Returns all logits [N, K], those of the task's own classes divided by the temperature."""
    spread = logits.double()
    spread[:, list(columns)] = scored.logits
    return spread
