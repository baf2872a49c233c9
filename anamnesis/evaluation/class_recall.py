"""The recall of each class, for classes with enough patients to hide each of them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.statistics import make_metric, wilson
from anamnesis.records import MINIMUM_CELL_PATIENTS, Metric, recall_metric


def class_recalls(
    logits: Tensor, targets: Tensor, class_indices: Sequence[int], *, classes: Sequence[str], patients: Sequence[str]
) -> dict[str, Metric]:
    """Returns ``Recall/<class>`` with its 95 % interval (Wilson): the share of a class's cases that are recognised.

    Task-incremental, like ``BalancedAccuracy``. The classes of ``hidden_classes`` are left out.

    Args:
        logits: [N, K], all classes of the model.
        targets: [N], the column of the true class.
        class_indices: the task's columns, in the order of its classes.
        classes: their names.
        patients: [N], the pseudonym of the patient of each case.
    """
    task_classes = torch.tensor(list(class_indices))
    targets = targets.cpu().long()
    is_correct = task_classes[logits.detach().double().cpu()[:, task_classes].argmax(1)] == targets
    rows_by_class = {
        name: (targets == column).nonzero().flatten() for name, column in zip(classes, class_indices, strict=True)
    }
    patient_counts = {name: len({patients[row] for row in rows.tolist()}) for name, rows in rows_by_class.items()}
    hidden = hidden_classes(patient_counts)
    return {
        recall_metric(name): _recall(int(is_correct[rows].sum()), len(rows))
        for name, rows in rows_by_class.items()
        if name not in hidden
    }


def hidden_classes(patient_counts: Mapping[str, int]) -> frozenset[str]:
    """Returns the classes whose recall is not published.

    These are the classes with fewer than ``MINIMUM_CELL_PATIENTS`` patients. A single hidden class could be computed
    from the total, so the next smaller classes are hidden too, until two or more are hidden that together have enough
    patients.

    Args:
        patient_counts: class -> number of patients in the test set.
    """
    smallest_first = sorted(patient_counts, key=lambda name: (patient_counts[name], name))
    hidden: list[str] = []
    for name in smallest_first:
        is_small = patient_counts[name] < MINIMUM_CELL_PATIENTS
        is_too_few = len(hidden) < 2 or sum(patient_counts[each] for each in hidden) < MINIMUM_CELL_PATIENTS
        if is_small or (hidden and is_too_few):
            hidden.append(name)
    return frozenset(hidden)


def _recall(hits: int, n: int) -> Metric:
    return make_metric(hits / n, n, wilson(hits, n))
