"""From probabilities to answers: the threshold of a task with two classes, and how it is chosen."""

import torch
from torch import Tensor

from anamnesis.evaluation.patient_intervals import count_patients
from anamnesis.records import ThresholdRule

MINIMUM_SENSITIVITY = 0.9
MINIMUM_POSITIVE_PATIENTS = 30
"""From this number on, the sensitivity of a threshold is known well enough to choose by it."""


def fit_threshold(
    probabilities: Tensor, is_positive: Tensor, patient_index: Tensor
) -> tuple[float, ThresholdRule] | None:
    """Returns the threshold of the second class's probability and how it was chosen, or none.

    With 30 or more positive patients: the threshold with the highest specificity among those with a sensitivity of 0.90
    or more. With fewer: the one with the highest balanced accuracy. Each patient has the same weight. Of equal
    thresholds the most sensitive one is chosen, and of these the one next to 0.5. There is none where one of the two
    classes has no case.

    Args:
        probabilities: [N], of the second class.
        is_positive: [N], bool, whether the second class is the true one.
        patient_index: [N], number of the patient of each case.
    """
    if is_positive.all() or not is_positive.any():
        return None
    values, positions = torch.unique(probabilities.double(), return_inverse=True)
    thresholds = torch.cat([values[:1].clamp(max=0.5), (values[1:] + values[:-1]) / 2])
    thresholds[1:][(values[:-1] < 0.5) & (values[1:] >= 0.5)] = 0.5
    positive_shares, negative_shares = (
        torch.zeros(len(values), dtype=torch.float64).index_add_(0, positions[rows], _weights(patient_index[rows]))
        for rows in (is_positive, ~is_positive)
    )
    sensitivity = 1 - (positive_shares.cumsum(0) - positive_shares)  # all values from the threshold on are answered
    specificity = negative_shares.cumsum(0) - negative_shares
    if count_patients(patient_index[is_positive]) >= MINIMUM_POSITIVE_PATIENTS:
        rule = ThresholdRule.SENSITIVITY
        quality = specificity.masked_fill(sensitivity.round(decimals=9) < MINIMUM_SENSITIVITY, -1.0)
    else:
        rule, quality = ThresholdRule.BALANCED_ACCURACY, sensitivity + specificity
    quality, sensitivity = quality.round(decimals=9), sensitivity.round(decimals=9)
    is_best = quality == quality.max()
    best_thresholds = thresholds[is_best & (sensitivity == sensitivity[is_best].max())]
    return float(best_thresholds[(best_thresholds - 0.5).abs().argmin()]), rule


def answer_classes(probabilities: Tensor, threshold: float | None = None) -> Tensor:
    """Returns [N], the position of the answered class: at a threshold, else the most probable one.

    Args:
        probabilities: [N, C], over the task's own classes, after the temperature.
        threshold: the second of two classes is the answer from this probability on.
    """
    if threshold is None:
        return probabilities.argmax(1)
    return (probabilities[:, 1] >= threshold).long()


def _weights(patient_index: Tensor) -> Tensor:
    """Returns [N]: the weight of each case, equal for all patients and 1 together."""
    _, positions, counts = torch.unique(patient_index, return_inverse=True, return_counts=True)
    weights: Tensor = 1 / (counts[positions].double() * len(counts))
    return weights
