"""Evaluator of a classification: the scores of its answers with a known site, and without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anamnesis.evaluation.calibration_metrics import calibration_metrics
from anamnesis.evaluation.class_recall import class_recalls
from anamnesis.evaluation.details import evaluation_details
from anamnesis.evaluation.metrics import classification_metrics, share_metric
from anamnesis.evaluation.paired_differences import CaseTruth, ScoredCases, paired_differences
from anamnesis.evaluation.patient_intervals import index_patients
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    EvaluationDetails,
    Metric,
    OperatingPoint,
    PairedDifference,
    find_class_indices,
)
from anamnesis.records.metric_names import ABSTAINED, SITE_INFERRED
from anamnesis.updates.answers import answer, compute_outputs
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.model import LoadedModel

if TYPE_CHECKING:
    from anamnesis.updates.evaluated_version import EvaluatedVersion


class ClassificationEvaluator:
    """Predictions are the fields of ``CaseOutputs``; scores are of the answers at the operating point."""

    def predict(self, model: LoadedModel, cases: CaseSet) -> dict[str, Tensor]:
        """Returns the fields of ``CaseOutputs``."""
        split = cases.read_tensors(model.description)
        outputs = compute_outputs(model, split.inputs, split.feature_folder)
        return {"logits": outputs.logits, "site_log_probs": outputs.site_log_probs, "distances": outputs.distances}

    def score(
        self, version: EvaluatedVersion, cases: CaseSet, points: Mapping[str, OperatingPoint]
    ) -> dict[str, Metric]:
        """Returns the scores, by metric."""
        return _score_classes(version, cases, points)

    def compare(
        self, version: EvaluatedVersion, reference: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> tuple[PairedDifference, ...]:
        """Returns the drops of the primary metric, of ``AUROC`` and of each class's recall."""
        site, task = cases.site, cases.site.task
        return paired_differences(
            reference.digest,
            before=reference.score(cases, reference.operating_point(site)),
            after=version.score(cases, point),
            truth=CaseTruth(cases.positions, task.classes, cases.patients),
            primary_metric=task.primary_metric,
        )

    def describe(self, version: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None) -> EvaluationDetails:
        """Returns the tables and curves for reports."""
        scored = version.score(cases, point)
        return evaluation_details(
            scored.logits.softmax(1),
            cases.positions,
            scored.answers,
            classes=cases.site.task.classes,
            patients=cases.patients,
            attributes=cases.attributes,
        )

    def count_fewest_patients(self, cases: CaseSet) -> int:
        """Returns the number of patients of the class with the fewest."""
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
        metrics[ABSTAINED] = share_metric(with_site.is_abstained, patient_index)
    if len({visit.task.name for visit in version.description.visits}) > 1:
        metrics[SITE_INFERRED] = share_metric(torch.isin(without_site.columns, task_columns), patient_index)
    return metrics


def _spread(scored: ScoredCases, columns: tuple[int, ...], logits: Tensor) -> Tensor:
    """Returns all logits [N, K], those of the task's own classes divided by the temperature."""
    spread = logits.double()
    spread[:, list(columns)] = scored.logits
    return spread
