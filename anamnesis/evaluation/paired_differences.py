"""How much lower a version scores than a reference on the same patients, with standard errors over patients.

A drop is the share of what only the reference gets right (*losses*) minus the share of what only the version gets right
(*gains*): of cases for a recall or an accuracy, of the mean over classes for a balanced accuracy, of pairs of a
positive and a negative for an area under a ROC curve.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.evaluation.class_recall import hidden_classes
from anamnesis.evaluation.metrics import log_odds
from anamnesis.evaluation.patient_intervals import (
    PRIOR_PATIENTS,
    count_patients,
    index_patients,
    patient_variance,
    placements,
    sum_by_patient,
)
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import PairedDifference, recall_metric

_PAIRS = 4_000_000
"""Pairs of cases that are compared at once: 32 MB."""


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
    drops = dict(_measure_drops(before, after, truth, primary_metric))
    return tuple(_to_record(reference, metric, drop) for metric, drop in drops.items())


def share_difference(
    reference: str, metric: str, *, is_right_before: Tensor, is_right_after: Tensor, patients: Sequence[str]
) -> PairedDifference:
    """Returns the drop of a share of all cases, such as ``ClassIncrementalAccuracy``.

    Args:
        reference: digest of the reference version.
        metric: its name.
        is_right_before: [N], bool, of the reference.
        is_right_after: [N], bool, of the version.
        patients: [N], the pseudonym of the patient of each case.
    """
    is_member = torch.ones_like(is_right_before)[None]
    return _to_record(
        reference, metric, _share_drop(is_right_before, is_right_after, is_member, index_patients(patients))
    )


def mean_difference(
    reference: str, metric: str, *, before: Tensor, after: Tensor, patients: Sequence[str]
) -> PairedDifference:
    """Returns the drop of a mean over cases, such as ``Dice``; it has no losses and gains.

    Args:
        reference: digest of the reference version.
        metric: its name.
        before: [N], values of the reference.
        after: [N], values of the version.
        patients: [N], the pseudonym of the patient of each case.
    """
    values, patient_index = before.double() - after.double(), index_patients(patients)
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
class _Drop:
    """A drop of a share.

    Attributes:
        losses: share that only the reference gets right.
        gains: share that only the version gets right.
        influence: [N], influence values of the cases on losses - gains.
        weights: [N], how much the estimate changes where a case turns from right to wrong.
        is_changed: [N], the cases that are right in one version only, at least in a pair.
        patient_index: [N].
    """

    losses: float
    gains: float
    influence: Tensor
    weights: Tensor
    is_changed: Tensor
    patient_index: Tensor


def _measure_drops(
    before: ScoredCases, after: ScoredCases, truth: CaseTruth, primary_metric: str
) -> Iterator[tuple[str, _Drop]]:
    targets, patient_index = truth.targets.cpu().long(), index_patients(truth.patients)
    is_true_class = targets == torch.arange(len(truth.classes))[:, None]
    is_present = is_true_class.any(1)
    is_right_before, is_right_after = (cases.answers.cpu() == targets for cases in (before, after))
    if primary_metric == "Accuracy":
        everyone = torch.ones_like(targets, dtype=torch.bool)[None]
        yield primary_metric, _share_drop(is_right_before, is_right_after, everyone, patient_index)
    if primary_metric == "BalancedAccuracy":
        yield primary_metric, _share_drop(is_right_before, is_right_after, is_true_class[is_present], patient_index)
    if int(is_present.sum()) > 1:
        scores_before, scores_after = (
            log_odds(cases.logits.detach().double().cpu())[is_present] for cases in (before, after)
        )
        yield "AUROC", _area_drop(scores_before, scores_after, is_true_class[is_present], patient_index)
    patient_counts = {
        name: count_patients(patient_index[rows]) for name, rows in zip(truth.classes, is_true_class, strict=True)
    }
    hidden = hidden_classes(patient_counts)
    for name, rows in zip(truth.classes, is_true_class, strict=True):
        if name not in hidden:
            yield recall_metric(name), _share_drop(is_right_before, is_right_after, rows[None], patient_index)


def _share_drop(is_right_before: Tensor, is_right_after: Tensor, is_member: Tensor, patient_index: Tensor) -> _Drop:
    """Returns the drop of the mean over groups of the share of right cases.

    Args:
        is_right_before: [N], bool.
        is_right_after: [N], bool.
        is_member: [C, N], bool: the cases of each group.
        patient_index: [N].
    """
    weights = is_member.double() / is_member.sum(1, keepdim=True) / len(is_member)
    change = is_right_before.double() - is_right_after.double()
    drops = (weights * change).sum(1, keepdim=True) * len(is_member)
    return _Drop(
        losses=float((weights * change.clamp(min=0)).sum()),
        gains=float((weights * -change.clamp(max=0)).sum()),
        influence=(weights * (change - drops)).sum(0),
        weights=weights.sum(0),
        is_changed=(change != 0) & is_member.any(0),
        patient_index=patient_index,
    )


def _area_drop(scores_before: Tensor, scores_after: Tensor, is_positive: Tensor, patient_index: Tensor) -> _Drop:
    """Returns the drop of the mean of areas under ROC curves, with scores and ``is_positive`` of [C, N]."""
    change = placements(scores_before, is_positive) - placements(scores_after, is_positive)
    positives, negatives = is_positive.sum(1, keepdim=True), (~is_positive).sum(1, keepdim=True)
    weights = torch.where(is_positive, 1 / positives, 1 / negatives).double() / len(is_positive)
    drops = (change * is_positive).sum(1, keepdim=True) / positives
    pairs = [
        _changed_pairs(before, after, rows)
        for before, after, rows in zip(scores_before, scores_after, is_positive, strict=True)
    ]
    losses, gains, is_changed = zip(*pairs, strict=True)
    return _Drop(
        losses=sum(losses) / len(losses),
        gains=sum(gains) / len(gains),
        influence=(weights * (change - drops)).sum(0),
        weights=weights.sum(0),
        is_changed=torch.stack(is_changed).any(0),
        patient_index=patient_index,
    )


def _changed_pairs(before: Tensor, after: Tensor, is_positive: Tensor) -> tuple[float, float, Tensor]:
    """Returns the shares of pairs that are lost and gained, and the cases [N] that are in one; ties are half right."""
    losses, gains, is_changed = 0.0, 0.0, torch.zeros_like(is_positive)
    negatives = (~is_positive).nonzero()[:, 0]
    for rows in torch.split(is_positive.nonzero()[:, 0], max(1, _PAIRS // len(negatives))):
        rights = [
            (scores[rows, None] - scores[negatives]).nan_to_num(0.0).sign() / 2 for scores in (before, after)
        ]  # equal infinite scores are a tie
        change = rights[0] - rights[1]
        losses, gains = losses + float(change.clamp(min=0).sum()), gains - float(change.clamp(max=0).sum())
        is_changed[rows] |= change.any(1)
        is_changed[negatives] |= change.any(0)
    pairs = int(is_positive.sum()) * len(negatives)
    return losses / pairs, gains / pairs, is_changed


def _to_record(reference: str, metric: str, drop: _Drop) -> PairedDifference:
    is_member = drop.weights > 0
    patients = count_patients(drop.patient_index[is_member])
    influence = sum_by_patient(drop.influence, drop.patient_index)
    variance = float(patient_variance(influence, torch.tensor(patients)))
    losses, gains = (make_metric(share, 0).value for share in (drop.losses, drop.gains))
    return PairedDifference(
        reference=reference,
        metric=metric,
        drop=losses - gains,
        standard_error=make_metric(variance**0.5, 0).value,
        effective_patients=make_metric(_effective_patients(drop, variance), 0).value,
        patients=patients,
        losses=losses,
        gains=gains,
    )


def _effective_patients(drop: _Drop, variance: float) -> float:
    """Returns how many independent patients would give the shares of losses and gains their variance.

    Where nothing has changed: the number of patients, less where they have different weights, as if all images of a
    patient would change together. Few changed patients say little about that, so it keeps the weight of
    ``PRIOR_PATIENTS``.
    """
    patient_weights = sum_by_patient(drop.weights, drop.patient_index)
    patients, cases = (float(weights.sum() / weights.square().sum()) for weights in (patient_weights, drop.weights))
    share_variance = (drop.losses + drop.gains - (drop.losses - drop.gains) ** 2) / max(patients - 1, 1.0)
    changed_patients = count_patients(drop.patient_index[drop.is_changed])
    measured = variance / share_variance if share_variance > 0 else 1.0
    ratio = (changed_patients * measured + PRIOR_PATIENTS) / (changed_patients + PRIOR_PATIENTS)
    return patients / max(ratio, patients / cases)
