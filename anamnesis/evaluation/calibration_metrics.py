"""How far probabilities are from the shares of right answers on a test set, with intervals over patients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.calibration import LARGEST_SCALE, fit_temperature
from anamnesis.evaluation.patient_intervals import index_patients, patient_variance, sum_by_patient
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import Metric
from anamnesis.records.metric_names import CALIBRATION_ERROR, CALIBRATION_SLOPE
from anamnesis.registry.student_t import t_quantile

MAXIMUM_BINS = 10
PATIENTS_PER_BIN = 25


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
    metrics = {CALIBRATION_ERROR: _calibration_error(logits.double().softmax(1), targets, patient_index, count)}
    if slope := _calibration_slope(logits.double(), targets, patient_index, count):
        metrics[CALIBRATION_SLOPE] = slope
    return metrics


def _calibration_error(probabilities: Tensor, targets: Tensor, patient_index: Tensor, count: int) -> Metric:
    """Returns the calibration error without its bias: sqrt(sum over bins of (n_b / N) (gap_b^2 - V_b)), 0 or more.

    gap_b is the share of right answers minus the mean confidence of a bin, and V_b its variance over patients: without
    it, a perfect model has an error of .1 on 100 patients. Bins have equal numbers of cases, one for 25 patients, at
    most 10. Source: the debiased estimator of Kumar et al., NeurIPS 2019, with the variance over patients in place of
    that over cases. The interval is that of the squared error, whose variance is 4 g'WVWg + 2 tr((WV)^2), with the
    weights W and the gaps g without their own noise.
    """
    confidences, answers = probabilities.max(1)
    residuals = (answers == targets).double() - confidences
    is_in_bin = _equal_bins(confidences, max(1, min(MAXIMUM_BINS, count // PATIENTS_PER_BIN)))
    cases = is_in_bin.sum(1)
    gaps = (is_in_bin * residuals).sum(1) / cases
    influence = sum_by_patient(is_in_bin * (residuals - gaps[:, None]) / cases[:, None], patient_index)
    weights = cases / len(targets)
    noise = weights[:, None] * (influence @ influence.T) * count / (count - 1)
    observed = float((weights * gaps.square()).sum())
    square = observed - float(noise.trace())
    true_gaps = gaps * (max(square, 0.0) / max(observed, 1e-12)) ** 0.5
    variance = float(4 * true_gaps @ noise @ (weights * true_gaps) + 2 * (noise @ noise).trace())
    half = t_quantile(0.975, count - 1) * max(variance, 0.0) ** 0.5
    error, low, high = (max(value, 0.0) ** 0.5 for value in (square, square - half, square + half))
    return make_metric(error, len(targets), (low, min(high, 1.0)), patients=count)


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


def _equal_bins(values: Tensor, bins: int) -> Tensor:
    """Returns which cases are in each bin, bool [B, N], with about as many in each; equal values share a bin."""
    edges = values.quantile(torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1])
    numbers = torch.searchsorted(edges, values, right=True)
    is_in_bin: Tensor = numbers == torch.unique(numbers)[:, None]
    return is_in_bin
