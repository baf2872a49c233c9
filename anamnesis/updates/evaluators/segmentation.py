"""Evaluator of a segmentation: overlap and surface distance of each case's masks, as means over patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anamnesis.evaluation.masks import dice, surface_distance
from anamnesis.evaluation.paired_differences import mean_difference
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.methods import PredictionRequest
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    EvaluationDetails,
    InputError,
    Metric,
    OperatingPoint,
    PairedDifference,
)
from anamnesis.records.metric_names import DICE, SURFACE_DISTANCE
from anamnesis.training import precision_for
from anamnesis.training.split_arrays.rows import batches_of, predicted_at_once
from anamnesis.updates.answers import prediction_request, split_inputs
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.model import LoadedModel
from anamnesis.updates.window_predictions import predict_masks

if TYPE_CHECKING:
    from anamnesis.updates.evaluated_version import EvaluatedVersion

_SCORES = {DICE: dice, SURFACE_DISTANCE: surface_distance}
"""Metric -> values of cases and foreground classes [N, C], from predicted and true masks and the number of classes."""


class SegmentationEvaluator:
    """The value of a case is the mean over the classes but the background."""

    def predict(self, model: LoadedModel, cases: CaseSet) -> dict[str, Tensor]:
        """Returns metric -> [N], the value of each case."""
        split, precision = cases.read_tensors(model.description), precision_for(model.description.configuration)
        precision.move_to_device(model.method.network)
        values: dict[str, list[Tensor]] = {metric: [] for metric in _SCORES}
        request = prediction_request(split.inputs, cases.site)
        masks_of_batches = batches_of(split.masks, predicted_at_once(*split.inputs.values()))
        batches = zip(split_inputs(split.inputs, precision.device), masks_of_batches, strict=True)
        with precision.deterministic_mode(), precision.autocast():
            for inputs, masks in batches:
                predicted, classes = _predict_masks(model, inputs, request)
                for metric, score in _SCORES.items():
                    values[metric].append(score(predicted, masks, classes).mean(1))
        return {metric: torch.cat(parts) for metric, parts in values.items()}

    def score(
        self, version: EvaluatedVersion, cases: CaseSet, points: Mapping[str, OperatingPoint]
    ) -> dict[str, Metric]:
        """Returns the means over cases, with intervals over patients."""
        return mean_metrics(version.predictions(cases), cases.patients)

    def compare(
        self, version: EvaluatedVersion, reference: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> tuple[PairedDifference, ...]:
        """Returns the difference of each metric, case by case."""
        before, after = reference.predictions(cases), version.predictions(cases)
        return tuple(
            mean_difference(
                reference.digest, metric, before=before[metric], after=after[metric], patients=cases.patients
            )
            for metric in _SCORES
        )

    def describe(
        self, version: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> EvaluationDetails | None:
        """Returns none: there are no tables of classes."""
        return None

    def count_fewest_patients(self, cases: CaseSet) -> int:
        """Returns the number of all patients: each has a mask."""
        return max(len(set(cases.patients)), MINIMUM_CELL_PATIENTS - 1)


def _predict_masks(model: LoadedModel, inputs: Mapping[str, Tensor], request: PredictionRequest) -> tuple[Tensor, int]:
    """Returns the class [N, *sides] of each pixel, and the number of classes."""
    mask_logits = predict_masks(model, inputs, request)
    if not mask_logits.isfinite().all():
        raise InputError(
            "the model's masks are not numbers, because the training diverged; lower training.learningRate, then train "
            "again"
        )
    return mask_logits.argmax(1).cpu(), mask_logits.shape[1]
