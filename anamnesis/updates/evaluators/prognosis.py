"""Evaluator of a prognosis: concordance of the risks, and the Brier score of survival curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anamnesis.evaluation.paired_differences import mean_difference
from anamnesis.evaluation.prognosis import (
    FollowUp,
    concordance_difference,
    concordance_metric,
    integrated_brier_score,
)
from anamnesis.evaluation.statistics import mean_metrics
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    EvaluationDetails,
    InputError,
    Metric,
    OperatingPoint,
    PairedDifference,
)
from anamnesis.records.metric_names import C_INDEX, INTEGRATED_BRIER_SCORE
from anamnesis.training import precision_for
from anamnesis.training.data import follow_up_of
from anamnesis.updates.answers import prediction_request, split_inputs
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.model import LoadedModel
from anamnesis.updates.window_predictions import Risks, predict_risks

if TYPE_CHECKING:
    from anamnesis.updates.evaluated_version import EvaluatedVersion

_BRIER = INTEGRATED_BRIER_SCORE


class PrognosisEvaluator:
    """Predictions are the log-risk [N] and, where the method gives survival curves, each case's Brier score [N]."""

    def predict(self, model: LoadedModel, cases: CaseSet) -> dict[str, Tensor]:
        """Returns ``log_risk`` and, where there are survival curves, ``IntegratedBrierScore``."""
        split, precision = cases.read_tensors(model.description), precision_for(model.description.configuration)
        precision.move_to_device(model.method.network)
        request = prediction_request(split.inputs, cases.site)
        with precision.deterministic_mode(), precision.autocast():
            risks = [predict_risks(model, inputs, request) for inputs in split_inputs(split.inputs, precision.device)]
        return case_values(risks, follow_up(cases))

    def score(
        self, version: EvaluatedVersion, cases: CaseSet, points: Mapping[str, OperatingPoint]
    ) -> dict[str, Metric]:
        """Returns the scores, with intervals over patients."""
        values = version.predictions(cases)
        concordance = concordance_metric(values["log_risk"], follow_up(cases))
        metrics = {} if concordance is None else {C_INDEX: concordance}
        return metrics | (mean_metrics({_BRIER: values[_BRIER]}, cases.patients) if _BRIER in values else {})

    def compare(
        self, version: EvaluatedVersion, reference: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> tuple[PairedDifference, ...]:
        """Returns the difference of each metric that both versions have."""
        before, after = reference.predictions(cases), version.predictions(cases)
        concordance = concordance_difference(reference.digest, before["log_risk"], after["log_risk"], follow_up(cases))
        differences = [] if concordance is None else [concordance]
        if _BRIER in before and _BRIER in after:
            differences.append(
                mean_difference(
                    reference.digest,
                    _BRIER,
                    before=before[_BRIER],
                    after=after[_BRIER],
                    patients=cases.patients,
                )
            )
        return tuple(differences)

    def describe(
        self, version: EvaluatedVersion, cases: CaseSet, point: OperatingPoint | None
    ) -> EvaluationDetails | None:
        """Returns none: there are no tables of classes."""
        return None

    def count_fewest_patients(self, cases: CaseSet) -> int:
        """Returns the number of all patients."""
        return max(len(set(cases.patients)), MINIMUM_CELL_PATIENTS - 1)


def follow_up(cases: CaseSet) -> FollowUp:
    """Returns the observed times of the cases.

    Raises:
        InputError: a case has no time or no event.
    """
    days, events = follow_up_of(cases.records, cases.site.task)
    return FollowUp(torch.tensor(days, dtype=torch.float64), torch.tensor(events), cases.patients)


def case_values(risks: Sequence[Risks], truth: FollowUp) -> dict[str, Tensor]:
    """Returns the stored values of the cases, from the risks and curves of their batches.

    Raises:
        InputError: a number is not finite.
    """
    values = {"log_risk": torch.cat([log_risk for log_risk, _ in risks]).double().cpu()}
    curves = [curve for _, curve in risks if curve is not None]
    if curves:
        survival = torch.cat([curve.probabilities for curve in curves]).cpu()
        values[_BRIER] = integrated_brier_score(survival, curves[0].days.cpu(), truth)
    if not all(tensor.isfinite().all() for tensor in values.values()):
        raise InputError(
            "the model's risks are not numbers, because the training diverged; lower training.learningRate, then train "
            "again"
        )
    return values
