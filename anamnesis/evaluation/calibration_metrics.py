"""How far probabilities are from the shares of right answers on a test set, with intervals over patients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.calibration import LARGEST_SCALE, fit_temperature
from anamnesis.evaluation.patient_intervals import index_patients, patient_variance, sum_by_patient
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import Metric
from anamnesis.registry.student_t import t_quantile

MAXIMUM_BINS = 15
PATIENTS_PER_BIN = 20


def calibration_metrics(logits: Tensor, targets: Tensor, patients: Sequence[str]) -> dict[str, Metric]:
    """Returns ``CalibrationError`` and ``CalibrationSlope`` of a task's answers where the site is known.

    A test set of one patient has neither. The slope is left out where the fit has no end: where every case is right, or
    all probabilities are equal.

    Args:
        logits: [N, C], of the task's own classes, divided by the temperature.
        targets: [N], the position of the true class.
        patients: [N], the pseudonym of the patient of each case.
    """
    patient_index = index_patients(patients)
    count = len(set(patients))
    if count < 2:
        return {}
    metrics = {"CalibrationError": _calibration_error(logits.double().softmax(1), targets, patient_index, count)}
    if slope := _calibration_slope(logits.double(), targets, patient_index, count):
        metrics["CalibrationSlope"] = slope
    return metrics


def _calibration_error(probabilities: Tensor, targets: Tensor, patient_index: Tensor, count: int) -> Metric:
    """Returns the debiased expected calibration error: sum over bins of (n_b / N) sqrt(max(0, gap_b^2 - se_b^2)).

    gap_b is the share of right answers minus the mean confidence, se_b its standard error over patients: by chance
    alone the mean of gap_b^2 is se_b^2 (Broecker, Climate Dynamics 39 (2012) 655). Bins have equal numbers of cases,
    one for 20 patients, at most 15. The interval is error -+ t sqrt(V), V the variance of the sum of the signed gaps.
    """
    confidences, answers = probabilities.max(1)
    order = confidences.argsort(stable=True)
    bins = max(1, min(MAXIMUM_BINS, count // PATIENTS_PER_BIN))
    bin_index = torch.empty_like(order)
    bin_index[order] = torch.arange(len(order)) * bins // len(order)
    members = torch.nn.functional.one_hot(bin_index, bins).T.double()
    gaps = members * ((answers == targets).double() - confidences)
    cases = members.sum(1)
    mean_gaps = gaps.sum(1) / cases
    influence = sum_by_patient(gaps - members * mean_gaps[:, None], patient_index) / cases[:, None]
    in_bin = (sum_by_patient(members, patient_index) > 0).sum(1)
    excess = mean_gaps.square() - patient_variance(influence, in_bin)
    weights = cases / cases.sum()
    error = float((weights * excess.clamp(min=0).sqrt()).sum())
    total_influence = ((weights * mean_gaps.sign())[:, None] * influence).sum(0)
    half = _half_width(total_influence, count)
    return make_metric(error, len(targets), (max(error - half, 0.0), min(error + half, 1.0)), patients=count)


def _calibration_slope(logits: Tensor, targets: Tensor, patient_index: Tensor, count: int) -> Metric | None:
    """Returns the scale s that maximises the likelihood of softmax(s logits): 1 is right, below 1 is over-confident.

    The slope of Cox, Biometrika 45 (1958) 562, for any number of classes. The interval has the robust variance of
    White, Econometrica 50 (1982) 1, with the scores added up within patients.
    """
    slope = 1 / fit_temperature(logits, targets)
    if slope > 0.999 * LARGEST_SCALE:
        return None
    probabilities = (slope * logits).softmax(1)
    means = (probabilities * logits).sum(1)
    information = float((probabilities * (logits - means[:, None]).square()).sum())
    if information <= 0:
        return None
    scores = logits.gather(1, targets[:, None])[:, 0] - means
    half = _half_width(sum_by_patient(scores, patient_index) / information, count)
    return make_metric(slope, len(targets), (max(slope - half, 0.0), slope + half), patients=count)


def _half_width(influence: Tensor, count: int) -> float:
    return t_quantile(0.975, count - 1) * float(patient_variance(influence, torch.tensor(count)).sqrt())
