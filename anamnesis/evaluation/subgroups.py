"""Scores of the cases that share a value of a banded attribute, such as an age band."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from anamnesis.evaluation.class_recall import hidden_classes
from anamnesis.evaluation.disclosure import count_patients, masked_cells
from anamnesis.evaluation.metrics import area_metric, share_metric
from anamnesis.records import Metric, Subgroup, recall_metric
from anamnesis.records.metric_names import ACCURACY, AUROC

NOT_STATED = "not stated"
"""Value of the cases without the attribute."""


def subgroup_scores(
    probabilities: Tensor,
    targets: Tensor,
    answered: Tensor,
    classes: Sequence[str],
    patients: Tensor,
    attributes: Sequence[Mapping[str, str]],
) -> tuple[Subgroup, ...]:
    """Returns the scores by attribute and value: ``Accuracy``, ``Recall/<class>``, and ``AUROC`` for two classes.

    Values with fewer than 10 patients are left out, and with them the next smaller ones, so that none follows from the
    total. In the same way, classes of a value are left out. An attribute needs two values that can be published.

    Args:
        probabilities: [N, C], over the task's own classes.
        targets: [N], position of the true class.
        answered: [N], position of the answered class.
        classes: their names.
        patients: [N], the patient of each case as a number.
        attributes: [N], of each case: attribute -> banded value.
    """
    names = sorted({name for values in attributes for name in values})
    return tuple(
        subgroup
        for name in names
        for subgroup in _attribute_scores(name, probabilities, targets, answered, classes, patients, attributes)
    )


def _attribute_scores(
    name: str,
    probabilities: Tensor,
    targets: Tensor,
    answered: Tensor,
    classes: Sequence[str],
    patients: Tensor,
    attributes: Sequence[Mapping[str, str]],
) -> Iterator[Subgroup]:
    values = sorted({case.get(name, NOT_STATED) for case in attributes})
    groups = torch.tensor([values.index(case.get(name, NOT_STATED)) for case in attributes])
    counts = count_patients(groups, patients, len(values)).tolist()
    hidden = hidden_classes(dict(zip(values, counts, strict=True)))
    if len(values) - len(hidden) < 2:
        return
    cells = groups * len(classes) + targets
    cell_patients = count_patients(cells, patients, len(values) * len(classes)).view(len(values), len(classes))
    masked = masked_cells(cell_patients, torch.tensor([value in hidden for value in values]))
    for row, value in enumerate(values):
        if value not in hidden:
            rows = (groups == row).nonzero().flatten()
            shown = [position for position in range(len(classes)) if not masked[row, position]]
            is_right = answered[rows] == targets[rows]
            metrics = _scores(probabilities[rows], targets[rows], is_right, patients[rows], classes, shown)
            yield Subgroup(name, value, counts[row], metrics)


def _scores(
    probabilities: Tensor,
    targets: Tensor,
    is_right: Tensor,
    patients: Tensor,
    classes: Sequence[str],
    shown: Sequence[int],
) -> dict[str, Metric]:
    metrics = {ACCURACY: share_metric(is_right, patients)}
    if len(classes) == 2 and len(shown) == 2:
        metrics[AUROC] = area_metric(probabilities[:, 1][None], (targets == 1)[None], patients)
    recalls = {
        recall_metric(classes[position]): share_metric(is_right[rows], patients[rows])
        for position, rows in ((position, targets == position) for position in shown)
    }
    return metrics | recalls
