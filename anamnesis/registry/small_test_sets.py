"""Test sets that are too small to judge a version: the gate stays undecided and says why."""

from collections.abc import Iterable

from anamnesis.records import MINIMUM_CELL_PATIENTS, Evaluation


def describe_small_classes(evaluations: Iterable[Evaluation], minimum: int) -> list[str]:
    """Returns a sentence for each test set on which a class has fewer patients than ``minimum``.

    Args:
        evaluations: of the judged test sets; those without a number of patients are not described.
        minimum: ``minimum_test_patients`` of the policy.
    """
    fewest_patients = {
        (item.site, item.task): (item.class_patients, item.class_patients == item.patients)
        for item in evaluations
        if item.class_patients is not None
    }
    return [
        f"{'' if is_everybody else 'a class of '}task {task} at {site} has {_format_count(count)} test patients, fewer "
        f"than gate.minimumTestPatients {minimum}, so no score on it decides; issue a larger test set, or lower "
        "gate.minimumTestPatients"
        for (site, task), (count, is_everybody) in sorted(fewest_patients.items())
        if count < minimum
    ]


def _format_count(count: int) -> str:
    return str(count) if count >= MINIMUM_CELL_PATIENTS else f"less than {MINIMUM_CELL_PATIENTS}"
