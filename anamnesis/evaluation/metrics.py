"""Scores of one test set: classification from logits, segmentation from masks, prognosis from risks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.statistics import auroc_interval, average_ranks, make_metric, wilson, wilson_mean
from anamnesis.records import InputError, Metric


def classification_metrics(logits: Tensor, targets: Tensor, class_indices: Sequence[int]) -> dict[str, Metric]:
    """Returns the scores of one task's test set, each with a 95 % interval.

    ``Accuracy``, ``BalancedAccuracy`` and ``AUROC`` are task-incremental: they use only the task's own columns.
    ``ClassIncrementalAccuracy`` uses all columns. Where the test set lacks a class, balanced accuracy and AUROC are
    means over the present classes; ``AUROC`` is left out where only one class is present.

    Args:
        logits: [N, K], all classes of the model; minus infinity excludes a class.
        targets: [N], the column of the true class.
        class_indices: the task's columns, in the order of its classes.

    Raises:
        InputError: the test set is empty, a target is not in ``class_indices``, or a logit is not a number.
    """
    logits, targets = logits.detach().double().cpu(), targets.cpu().long()
    _check_inputs(logits, targets, class_indices)
    task_classes = torch.tensor(list(class_indices))
    is_correct = task_classes[logits[:, task_classes].argmax(1)] == targets
    is_true_class = targets == task_classes[:, None]
    metrics = {
        "Accuracy": _accuracy(is_correct),
        "BalancedAccuracy": _balanced_accuracy(is_correct, is_true_class),
        "ClassIncrementalAccuracy": _accuracy(logits.argmax(1) == targets),
    }
    if int(is_true_class.any(1).sum()) > 1:
        metrics["AUROC"] = _macro_auroc(_log_odds(logits[:, task_classes]), is_true_class)
    return metrics


def auroc(scores: Tensor, is_positive: Tensor) -> Tensor:
    """Returns areas under ROC curves, [C]: (sum of the positives' ranks - m (m + 1) / 2) / (m n), ties counting half.

    Source: the Mann-Whitney form, Hanley and McNeil, Radiology 143 (1982) 29.

    Args:
        scores: [C, N], higher for positives.
        is_positive: [C, N], bool; every row needs both values.
    """
    positives = is_positive.sum(-1).double()
    ranks = (average_ranks(scores) * is_positive).sum(-1)
    return (ranks - positives * (positives + 1) / 2) / (positives * (is_positive.shape[-1] - positives))


def dice(prediction: Tensor, mask: Tensor, classes: int) -> Tensor:
    """Returns the Dice coefficient 2 |P and M| / (|P| + |M|) of each case and foreground class, [N, classes - 1].

    A class absent from both scores 1, from one of them 0. Source: Dice, Ecology 26 (1945) 297.

    Args:
        prediction: [N, ...], integer classes, 0 is background.
        mask: the truth, of the same shape.
        classes: their number, background included.
    """
    foreground_classes = torch.arange(1, classes, device=mask.device)[:, None]
    predicted, actual = (labels.flatten(1)[:, None] == foreground_classes for labels in (prediction, mask))
    overlap, total = (predicted & actual).sum(-1).double(), (predicted.sum(-1) + actual.sum(-1)).double()
    return torch.where(total > 0, 2 * overlap / total.clamp(min=1), 1.0)


def c_index(risk: Tensor, days: Tensor, event: Tensor) -> float | None:
    """Returns Harrell's concordance index, or none without two comparable cases.

    Two cases are comparable when the one with the shorter time had the event (at equal times: when one had it and the
    other was censored). They are concordant when that case also has the higher risk; equal risks count half. Source:
    Harrell et al., JAMA 247 (1982) 2543.

    Args:
        risk: [N], higher means an earlier event.
        days: [N], to the event or to the end of observation.
        event: [N], bool.
    """
    is_earlier = (days[:, None] < days) | ((days[:, None] == days) & ~event)
    is_comparable = is_earlier & event[:, None]
    concordant = (risk[:, None] > risk).double() + 0.5 * (risk[:, None] == risk).double()
    pairs = int(is_comparable.sum())
    return float((concordant * is_comparable).sum()) / pairs if pairs else None


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


def _accuracy(is_correct: Tensor) -> Metric:
    hits, n = int(is_correct.sum()), len(is_correct)
    return make_metric(hits / n, n, wilson(hits, n))


def _balanced_accuracy(is_correct: Tensor, is_true_class: Tensor) -> Metric:
    is_true_class = is_true_class[is_true_class.any(1)]
    hits, sizes = (is_true_class & is_correct).sum(1).tolist(), is_true_class.sum(1).tolist()
    recall = sum(k / n for k, n in zip(hits, sizes, strict=True)) / len(sizes)
    return make_metric(recall, len(is_correct), wilson_mean(hits, sizes))


def _log_odds(logits: Tensor) -> Tensor:
    """Returns each class's log odds against the others, [C, N]: in the order of its probability, but never saturated.

    They are rounded to nine places, so that equal scores stay equal on another machine.
    """
    other_logits = (
        logits[:, None].expand(-1, logits.shape[1], -1).masked_fill(torch.eye(logits.shape[1]).bool(), -torch.inf)
    )
    return (logits - other_logits.logsumexp(-1)).T.round(decimals=9)


def _macro_auroc(scores: Tensor, is_true_class: Tensor) -> Metric:
    """Macro one-versus-rest; for two classes both rows are equal. The interval's ends are means over the rows."""
    is_present = is_true_class.any(1)
    areas, n = auroc(scores[is_present], is_true_class[is_present]), is_true_class.shape[1]
    sizes = is_true_class[is_present].sum(1).tolist()
    ends = [auroc_interval(area, m, n - m) for area, m in zip(areas.tolist(), sizes, strict=True)]
    low, high = (sum(end) / len(end) for end in zip(*ends, strict=True))
    return make_metric(float(areas.mean()), n, (low, high))
