"""Tables and curves of a classification for reports, without a number about fewer than 10 patients."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import torch
from torch import Tensor

from anamnesis.evaluation.class_recall import hidden_classes
from anamnesis.evaluation.disclosure import count_patients, enough_patients_bins, masked_cells, patient_numbers
from anamnesis.evaluation.subgroups import subgroup_scores
from anamnesis.records import MINIMUM_CELL_PATIENTS, EvaluationDetails, ReliabilityBin, RocPoint

MAXIMUM_CLASSES = 32
"""A confusion matrix of more classes is not readable."""
_ROC_POINTS = 20
_RELIABILITY_BINS = 10


def evaluation_details(
    probabilities: Tensor,
    targets: Tensor,
    answered: Tensor,
    classes: Sequence[str],
    patients: Sequence[str],
    attributes: Sequence[Mapping[str, str]],
) -> EvaluationDetails:
    """Returns the tables and curves of one test set; see ``docs/evaluation.md``, "Details for reports".

    Args:
        probabilities: [N, C], over the task's own classes, after the temperature.
        targets: [N], position of the true class.
        answered: [N], position of the answered class, at the stored threshold.
        classes: their names.
        patients: [N], the pseudonym of the patient of each case.
        attributes: [N], of each case: attribute -> banded value.
    """
    probabilities = probabilities.detach().double().cpu()
    targets, answered = targets.cpu().long(), answered.cpu().long()
    numbers = patient_numbers(patients)
    counts = count_patients(targets, numbers, len(classes)).tolist()
    hidden = hidden_classes(dict(zip(classes, counts, strict=True)))
    is_hidden = torch.tensor([name in hidden for name in classes])
    return EvaluationDetails(
        classes=tuple(classes),
        confusion=_confusion(targets, answered, numbers, is_hidden),
        roc=_roc_curves(probabilities, targets, classes, numbers, is_hidden),
        reliability=_reliability(probabilities, targets, numbers),
        subgroups=subgroup_scores(probabilities, targets, answered, classes, numbers, attributes),
    )


def _confusion(
    targets: Tensor, answered: Tensor, patients: Tensor, is_hidden: Tensor
) -> tuple[tuple[int | None, ...], ...]:
    """Returns the matrix of cases; the diagonal is masked last, because the recall of a class gives it anyway."""
    size = len(is_hidden)
    if size > MAXIMUM_CLASSES:
        return ()
    cells = targets * size + answered
    cases = torch.bincount(cells, minlength=size * size).view(size, size)
    patient_counts = count_patients(cells, patients, size * size).view(size, size)
    masked = masked_cells(patient_counts, is_hidden, last_resort=torch.eye(size, dtype=torch.bool))
    return tuple(
        tuple(None if mask else count for count, mask in zip(*rows, strict=True))
        for rows in zip(cases.tolist(), masked.tolist(), strict=True)
    )


def _roc_curves(
    probabilities: Tensor, targets: Tensor, classes: Sequence[str], patients: Tensor, is_hidden: Tensor
) -> dict[str, tuple[RocPoint, ...]]:
    """Returns the curve of each class against the others; of two classes only the second one's."""
    positions = [1] if len(classes) == 2 else range(len(classes))
    curves = {
        classes[position]: _roc_curve(probabilities[:, position], targets == position, patients)
        for position in positions
        if not is_hidden[position]
    }
    return {name: points for name, points in curves.items() if points}


def _roc_curve(scores: Tensor, is_positive: Tensor, patients: Tensor) -> tuple[RocPoint, ...]:
    """Returns the mean sensitivity over equal ranges of the false positive rate; nothing with too few patients.

    The threshold passes the score of each case of the other classes; a point is the mean over the thresholds at the
    scores of at least 10 patients, so that no step of the curve shows one of them. The mean of all points is the area
    under the curve.
    """
    positives, negatives = scores[is_positive].sort().values, scores[~is_positive]
    if int(torch.unique(patients[is_positive]).numel()) < MINIMUM_CELL_PATIENTS:
        return ()
    bins = enough_patients_bins(-negatives, patients[~is_positive], _ROC_POINTS)
    if bins is None:
        return ()
    above = len(positives) - torch.searchsorted(positives, negatives, right=True)
    not_below = len(positives) - torch.searchsorted(positives, negatives, right=False)
    sensitivity = _bin_means((above + not_below).double() / (2 * len(positives)), bins)
    return tuple(
        RocPoint(_places((2 * number + 1) / (2 * len(sensitivity)), 3), _places(value, 2))
        for number, value in enumerate(sensitivity)
    )


def _reliability(probabilities: Tensor, targets: Tensor, patients: Tensor) -> tuple[ReliabilityBin, ...]:
    """Returns mean confidence of the most probable class and share of right ones, in bins of equal numbers of cases."""
    confidence, most_probable = probabilities.max(1)
    bins = enough_patients_bins(confidence, patients, _RELIABILITY_BINS)
    if bins is None:
        return ()
    columns = (_bin_means(values, bins) for values in (confidence, (most_probable == targets).double()))
    return tuple(
        ReliabilityBin(_places(confidence_mean, 3), _places(accuracy, 3), cases)
        for confidence_mean, accuracy, cases in zip(*columns, torch.bincount(bins).tolist(), strict=True)
    )


def _bin_means(values: Tensor, bins: Tensor) -> list[float]:
    sums = torch.zeros(int(bins.max()) + 1, dtype=torch.float64).index_add_(0, bins, values)
    means: list[float] = (sums / torch.bincount(bins)).tolist()
    return means


def _places(value: float, places: int) -> Decimal:
    return Decimal(f"{value:.{places}f}")
