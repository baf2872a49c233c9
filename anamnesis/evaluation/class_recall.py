"""The recall of each class, for classes with enough patients to hide each of them."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from anamnesis.evaluation.metrics import share_metric
from anamnesis.evaluation.patient_intervals import count_patients, index_patients
from anamnesis.records import MINIMUM_CELL_PATIENTS, Metric, precision_metric, recall_metric


def class_recalls(
    answers: Tensor, targets: Tensor, class_indices: Sequence[int], *, classes: Sequence[str], patients: Sequence[str]
) -> dict[str, Metric]:
    """Returns ``Recall/<class>`` and ``Precision/<class>`` with their 95 % intervals over patients.

    Recall (sensitivity) is the share of a class's cases that are recognised, precision (positive predictive value) the
    share of right ones among the cases that are answered with the class. The classes of ``hidden_classes`` are left
    out, and the precision of classes that are answered for fewer than ``MINIMUM_CELL_PATIENTS`` patients.

    Args:
        answers: [N], the column of the answered class where the site is known; -1 for no answer.
        targets: [N], the column of the true class.
        class_indices: the task's columns, in the order of its classes.
        classes: their names.
        patients: [N], the pseudonym of the patient of each case.
    """
    answers, targets, patient_index = answers.cpu(), targets.cpu().long(), index_patients(patients)
    is_right = answers == targets
    columns = dict(zip(classes, class_indices, strict=True))

    hidden = hidden_classes(
        {name: count_patients(patient_index[targets == column]) for name, column in columns.items()}
    )
    shown = {name: column for name, column in columns.items() if name not in hidden}
    recalls = {
        recall_metric(name): share_metric(is_right[rows], patient_index[rows])
        for name, rows in ((name, targets == column) for name, column in shown.items())
    }
    precisions = {
        precision_metric(name): share_metric(is_right[rows], patient_index[rows])
        for name, rows in ((name, answers == column) for name, column in shown.items())
        if count_patients(patient_index[rows]) >= MINIMUM_CELL_PATIENTS
    }
    return recalls | precisions


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
