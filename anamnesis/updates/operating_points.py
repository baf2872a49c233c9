"""Fits the operating point of a version at a site: how its outputs become answers."""

from torch import Tensor

from anamnesis.evaluation.calibration import fit_temperature, fit_threshold
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import HeldOutSet, OperatingPoint
from anamnesis.updates.case_sets import CaseSet


def fit_operating_point(cases: CaseSet, source: HeldOutSet, logits: Tensor) -> OperatingPoint:
    """Fits temperature and threshold of a site on held-out patients.

    Args:
        cases: of the held-out patients.
        source: where they come from.
        logits: [N, C], of the task's own classes.
    """
    targets, patients = cases.positions, cases.patients
    temperature = fit_temperature(logits, targets)
    threshold = None
    if logits.shape[1] == 2:
        threshold = fit_threshold((logits.double() / temperature).softmax(1)[:, 1], targets == 1)
    return OperatingPoint(
        site=cases.site.name,
        task=cases.site.task.name,
        source=source,
        patients=len(set(patients)),
        cases=len(patients),
        temperature=make_metric(temperature, 1).value,
        threshold=None if threshold is None else make_metric(threshold, 1).value,
    )
