"""Scores of a classification on one test set, from logits and answers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.patient_intervals import (
    area_intervals,
    count_patients,
    estimate_areas,
    estimate_shares,
    index_patients,
    mean_interval,
    share_intervals,
)
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import InputError, Metric
from anamnesis.records.metric_names import ACCURACY, AUROC, BALANCED_ACCURACY, CLASS_INCREMENTAL_ACCURACY


def classification_metrics(
    logits: Tensor,
    targets: Tensor,
    class_indices: Sequence[int],
    patients: Sequence[str],
    answers: Tensor | None = None,
    answers_without_site: Tensor | None = None,
) -> dict[str, Metric]:
    """Returns the scores of one task's test set, each with a 95 % interval over patients.

    ``Accuracy``, ``BalancedAccuracy`` and ``AUROC`` are task-incremental: the site is known. ``AUROC`` uses the task's
    own logits, ``Accuracy`` and ``BalancedAccuracy`` the answers. ``ClassIncrementalAccuracy`` uses the answers where
    no site is known. Where the test set lacks a class, balanced accuracy and AUROC are means over the present classes;
    ``AUROC`` is left out where only one class is present.

    Args:
        logits: [N, K], all classes of the model, or log-probabilities; minus infinity excludes a class. For several
            classes divide them by the temperature: the order of one class against the others depends on it.
        targets: [N], the column of the true class.
        class_indices: the task's columns, in the order of its classes.
        patients: [N], the pseudonym of the patient of each case.
        answers: [N], the column of the answered class, -1 for no answer; by default the largest logit of the task.
        answers_without_site: the same where no site is known; by default the largest of all logits.

    Raises:
        InputError: the test set is empty, a target is not in ``class_indices``, or a logit is not a number.
    """
    logits, targets = logits.detach().double().cpu(), targets.cpu().long()
    _check_inputs(logits, targets, class_indices)
    task_classes, patient_index = torch.tensor(list(class_indices)), index_patients(patients)
    if answers is None:
        answers = task_classes[logits[:, task_classes].argmax(1)]
    if answers_without_site is None:
        answers_without_site = logits.argmax(1)
    is_correct, is_true_class = answers.cpu() == targets, targets == task_classes[:, None]
    is_true_class = is_true_class[is_true_class.any(1)]
    metrics = {
        ACCURACY: share_metric(is_correct, patient_index),
        BALANCED_ACCURACY: _balanced_accuracy(is_correct, is_true_class, patient_index),
        CLASS_INCREMENTAL_ACCURACY: share_metric(answers_without_site.cpu() == targets, patient_index),
    }
    if len(is_true_class) > 1:
        is_present = (targets == task_classes[:, None]).any(1)
        scores = log_odds(logits[:, task_classes])[is_present]
        metrics[AUROC] = area_metric(scores, is_true_class, patient_index)
    return metrics


def share_metric(is_counted: Tensor, patient_index: Tensor) -> Metric:
    """Returns the share of counted cases with its interval over patients, such as an accuracy.

    Args:
        is_counted: [N], bool.
        patient_index: [N], number of the patient of each case (``index_patients``).
    """
    estimates = estimate_shares(is_counted, torch.ones_like(is_counted), patient_index)
    low, high = share_intervals(estimates)
    return make_metric(
        float(estimates.values), len(is_counted), (float(low), float(high)), patients=int(estimates.patients)
    )


def area_metric(scores: Tensor, is_true_class: Tensor, patient_index: Tensor) -> Metric:
    """Returns the mean of areas under ROC curves, one for each class against the others, with its interval.

    Args:
        scores: [C, N], higher for the class; for two classes one row is enough.
        is_true_class: [C, N], bool; each row has both values.
        patient_index: [N], number of the patient of each case.
    """
    estimates = estimate_areas(scores, is_true_class, patient_index)
    low, high = mean_interval(estimates, area_intervals(estimates))
    return make_metric(
        float(estimates.values.mean()),
        is_true_class.shape[1],
        (float(low), float(high)),
        patients=count_patients(patient_index),
    )


def log_odds(logits: Tensor) -> Tensor:
    """Returns each class's log odds against the others, [C, N]: in the order of its probability, but never saturated.

    They are rounded to nine places, so that equal scores stay equal on another machine.

    Args:
        logits: [N, C], of the task's own classes.
    """
    other_logits = (
        logits[:, None].expand(-1, logits.shape[1], -1).masked_fill(torch.eye(logits.shape[1]).bool(), -torch.inf)
    )
    return (logits - other_logits.logsumexp(-1)).T.round(decimals=9)


def _check_inputs(logits: Tensor, targets: Tensor, class_indices: Sequence[int]) -> None:
    if not len(targets):
        raise InputError(
            "the test set has no cases, so no metric can be computed; check the labels and the training/test split of "
            "the site's data"
        )
    if unknown_targets := sorted(set(targets.tolist()) - set(class_indices)):
        raise InputError(
            f"a case has class index {unknown_targets[0]}, but the task has {list(class_indices)}: this is a fault of "
            "the program; report it with the log"
        )
    is_invalid = logits.isnan().any(1) | logits[:, list(class_indices)].isinf().all(1) | logits.isposinf().any(1)
    if is_invalid.any():
        raise InputError(
            f"the model's class scores are not finite for {int(is_invalid.sum())} of {len(logits)} cases, because the "
            "training diverged; lower training.learningRate, then train again"
        )


def _balanced_accuracy(is_correct: Tensor, is_true_class: Tensor, patient_index: Tensor) -> Metric:
    estimates = estimate_shares(is_correct.expand_as(is_true_class), is_true_class, patient_index)
    low, high = mean_interval(estimates, share_intervals(estimates))
    return make_metric(
        float(estimates.values.mean()),
        len(is_correct),
        (float(low), float(high)),
        patients=count_patients(patient_index),
    )
