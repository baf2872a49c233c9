"""How much worse a version scores than a reference on the same patients, with standard errors over patients.

A drop is the share of what only the reference gets right (*losses*) minus the share of what only the version gets right
(*gains*): of cases for a recall or an accuracy, of the mean over classes for a balanced accuracy, of pairs of a
positive and a negative for an area under a ROC curve.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.evaluation.class_recall import hidden_classes
from anamnesis.evaluation.metrics import log_odds
from anamnesis.evaluation.patient_intervals import (
    count_patients,
    index_patients,
    patient_variance,
    placements,
    shrunk_ratio,
    sum_by_patient,
)
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import PairedDifference, metric_properties, recall_metric
from anamnesis.records.metric_names import ACCURACY, AUROC, BALANCED_ACCURACY

_PAIRS = 1_000_000
"""Pairs of cases that are compared at once."""
_SMALLEST_AREA_RATIO = 0.5
"""A case is in many pairs, of which a change of scores turns a few: their variance is below that of whole cases."""


@dataclass(frozen=True, slots=True)
class ScoredCases:
    """What one version says about the cases of a task where the site is known.

    Attributes:
        logits: [N, C], of the task's own classes, divided by the temperature; or log-probabilities.
        answers: [N], position of the answered class among them; -1 for no answer.
    """

    logits: Tensor
    answers: Tensor


@dataclass(frozen=True, slots=True)
class CaseTruth:
    """The truth of the cases of a task.

    Attributes:
        targets: [N], position of the true class.
        classes: names of the task's classes.
        patients: [N], the pseudonym of the patient of each case.
    """

    targets: Tensor
    classes: Sequence[str]
    patients: Sequence[str]


def paired_differences(
    reference: str, before: ScoredCases, after: ScoredCases, truth: CaseTruth, primary_metric: str
) -> tuple[PairedDifference, ...]:
    """Returns the drops of the primary metric, of ``AUROC`` and of ``Recall/<class>`` of each class that is not hidden.

    ``AUROC`` is left out where only one class is present.

    Args:
        reference: digest of the reference version.
        before: of the reference.
        after: of the version.
        truth: of the same cases, in the same order.
        primary_metric: of the task: ``Accuracy``, ``BalancedAccuracy`` or ``AUROC``; another one is left out.
    """
    return tuple(
        _to_record(reference, metric, drops) for metric, drops in _measure_drops(before, after, truth, primary_metric)
    )


def mean_difference(
    reference: str, metric: str, *, before: Tensor, after: Tensor, patients: Sequence[str]
) -> PairedDifference:
    """Returns how much worse a mean over cases is, such as ``Dice``; it has no losses and gains.

    Args:
        reference: digest of the reference version.
        metric: its name; the registry of metrics has its direction.
        before: [N], values of the reference.
        after: [N], values of the version.
        patients: [N], the pseudonym of the patient of each case.
    """
    sign = -1 if metric_properties(metric).is_lower_better else 1
    values, patient_index = sign * (before.double() - after.double()), index_patients(patients)
    drop, count = float(values.mean()), torch.tensor(len(set(patients)))
    influence = sum_by_patient(values - drop, patient_index) / len(values)
    return PairedDifference(
        reference=reference,
        metric=metric,
        drop=make_metric(drop, 0).value,
        standard_error=make_metric(float(patient_variance(influence, count).sqrt()), 0).value,
        effective_patients=make_metric(float(count), 0).value,
        patients=int(count),
    )


@dataclass(frozen=True, slots=True)
class Drops:
    """Drops of means of shares, with any leading dimensions.

    Attributes:
        losses: [...], share that only the reference gets right.
        gains: [...], share that only the version gets right.
        standard_errors: [...], of losses - gains, over patients.
        effective_patients: [...], how many independent patients would give losses and gains this standard error.
        patients: number of patients.
    """

    losses: Tensor
    gains: Tensor
    standard_errors: Tensor
    effective_patients: Tensor
    patients: int


def drops_of_shares(is_right_before: Tensor, is_right_after: Tensor, is_member: Tensor, patient_index: Tensor) -> Drops:
    """Returns the drops of the mean over groups of the share of right cases.

    Args:
        is_right_before: [..., N], bool.
        is_right_after: [..., N], bool.
        is_member: [C, N], bool: the cases of each group.
        patient_index: [N].
    """
    group_weights = is_member.double() / is_member.sum(1, keepdim=True) / len(is_member)
    change = is_right_before.double() - is_right_after.double()
    group_drops = change @ group_weights.T * len(is_member)
    weights = group_weights.sum(0)
    return _make_drops(
        losses=change.clamp(min=0) @ weights,
        gains=-change.clamp(max=0) @ weights,
        influence=change * weights - group_drops @ group_weights,
        weights=weights,
        is_changed=(change != 0) & (weights > 0),
        patient_index=patient_index,
    )


def drops_of_areas(scores_before: Tensor, scores_after: Tensor, is_positive: Tensor, patient_index: Tensor) -> Drops:
    """Returns the drops of the mean over classes of areas under ROC curves.

    Args:
        scores_before: [..., C, N], higher for the class.
        scores_after: [..., C, N].
        is_positive: [C, N], bool; each row has both values.
        patient_index: [N].
    """
    is_positive_everywhere = is_positive.expand(scores_before.shape)
    change = placements(scores_before, is_positive_everywhere) - placements(scores_after, is_positive_everywhere)
    positives, negatives = is_positive.sum(1, keepdim=True), (~is_positive).sum(1, keepdim=True)
    class_weights = torch.where(is_positive, 1 / positives, 1 / negatives).double() / len(is_positive)
    drops = (change * is_positive).sum(-1, keepdim=True) / positives
    losses, gains = _changed_pairs(scores_before, scores_after, is_positive_everywhere)
    return _make_drops(
        losses=losses.mean(-1),
        gains=gains.mean(-1),
        influence=(class_weights * (change - drops)).sum(-2),
        weights=class_weights.sum(0),
        is_changed=(change != 0).any(-2),
        patient_index=patient_index,
        smallest_ratio=_SMALLEST_AREA_RATIO,
    )


def _make_drops(
    losses: Tensor,
    gains: Tensor,
    influence: Tensor,
    weights: Tensor,
    is_changed: Tensor,
    patient_index: Tensor,
    smallest_ratio: float = 1.0,
) -> Drops:
    """Adds up the cases of each patient.

    Where nothing has changed, the effective number of patients is their number, less where they have different weights,
    as if all images of a patient would change together.

    Args:
        losses: [...].
        gains: [...].
        influence: [..., N], influence values of the cases on losses - gains.
        weights: [N], how much the mean changes where a case turns from right to wrong.
        is_changed: [..., N], bool: the cases whose answer or rank has changed.
        patient_index: [N].
        smallest_ratio: smallest variance, by that of images which change independently of each other.
    """
    patient_weights = sum_by_patient(weights, patient_index)
    patients, cases = (values.sum() / values.square().sum() for values in (patient_weights, weights))
    count = (patient_weights > 0).sum()
    variance = patient_variance(sum_by_patient(influence, patient_index), count)
    share_variance = (losses + gains - (losses - gains).square()) / (patients - 1).clamp(min=1)
    measured = torch.where(share_variance > 0, variance / share_variance.clamp(min=1e-300), 1.0)
    changed_patients = (sum_by_patient(is_changed, patient_index) > 0).sum(-1).double()
    return Drops(
        losses=losses,
        gains=gains,
        standard_errors=variance.sqrt(),
        effective_patients=patients / shrunk_ratio(measured, changed_patients, smallest_ratio * patients / cases),
        patients=int(count),
    )


def _measure_drops(
    before: ScoredCases, after: ScoredCases, truth: CaseTruth, primary_metric: str
) -> Iterator[tuple[str, Drops]]:
    targets, patient_index = truth.targets.cpu().long(), index_patients(truth.patients)
    is_true_class = targets == torch.arange(len(truth.classes))[:, None]
    is_present = is_true_class.any(1)
    is_right_before, is_right_after = (cases.answers.cpu() == targets for cases in (before, after))
    if primary_metric == ACCURACY:
        everyone = torch.ones_like(targets, dtype=torch.bool)[None]
        yield primary_metric, drops_of_shares(is_right_before, is_right_after, everyone, patient_index)
    if primary_metric == BALANCED_ACCURACY:
        yield primary_metric, drops_of_shares(is_right_before, is_right_after, is_true_class[is_present], patient_index)
    if int(is_present.sum()) > 1:
        scores_before, scores_after = (
            log_odds(cases.logits.detach().double().cpu())[is_present] for cases in (before, after)
        )
        yield AUROC, drops_of_areas(scores_before, scores_after, is_true_class[is_present], patient_index)
    patient_counts = {
        name: count_patients(patient_index[rows]) for name, rows in zip(truth.classes, is_true_class, strict=True)
    }
    hidden = hidden_classes(patient_counts)
    for name, rows in zip(truth.classes, is_true_class, strict=True):
        if name not in hidden:
            yield recall_metric(name), drops_of_shares(is_right_before, is_right_after, rows[None], patient_index)


def _changed_pairs(before: Tensor, after: Tensor, is_positive: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the shares [...] of pairs of a positive and a negative that are lost, and gained; a tie is half right."""
    losses, gains = (torch.zeros(before.shape[:-1], dtype=torch.float64) for _ in range(2))
    for row in itertools.product(*map(range, before.shape[:-1])):
        positives, negatives = (
            torch.stack([scores[row][rows] for scores in (before, after)])
            for rows in (is_positive[row], ~is_positive[row])
        )
        pairs = 2 * positives.shape[1] * negatives.shape[1]
        for chunk in torch.split(positives, max(1, _PAIRS // negatives.shape[1]), dim=1):
            signs = (chunk[:, :, None] > negatives[:, None]).char() - (chunk[:, :, None] < negatives[:, None]).char()
            change = signs[0] - signs[1]
            losses[row] += change.clamp(min=0).sum() / pairs
            gains[row] -= change.clamp(max=0).sum() / pairs
    return losses, gains


def _to_record(reference: str, metric: str, drops: Drops) -> PairedDifference:
    losses, gains, standard_error, effective_patients = (
        make_metric(float(values), 0).value
        for values in (drops.losses, drops.gains, drops.standard_errors, drops.effective_patients)
    )
    return PairedDifference(
        reference=reference,
        metric=metric,
        drop=losses - gains,
        standard_error=standard_error,
        effective_patients=effective_patients,
        patients=drops.patients,
        losses=losses,
        gains=gains,
    )
