"""Fits the operating point of a version at a site: how its outputs become answers."""

from collections.abc import Sequence

from anamnesis.evaluation.calibration import fit_temperature
from anamnesis.evaluation.operating_points import fit_threshold
from anamnesis.evaluation.patient_intervals import index_patients
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import HeldOutSet, OperatingPoint, find_class_indices
from anamnesis.updates.answers import CaseOutputs
from anamnesis.updates.case_sets import CaseSet
from anamnesis.updates.site_features import fit_distance_limit


def fit_operating_point(
    cases: CaseSet, source: HeldOutSet, outputs: CaseOutputs, labels: Sequence[str], sites: Sequence[str]
) -> OperatingPoint:
    """Fits temperature, threshold and distance limit of a site on held-out patients.

    Args:
        cases: of the held-out patients.
        source: where they come from.
        outputs: of the version for these cases.
        labels: of the version: the columns of its logits.
        sites: those with statistics in the version: the columns of its distances.
    """
    site, targets, patients = cases.site, cases.positions, cases.patients
    logits = outputs.logits[:, list(find_class_indices(site.task, labels))]
    temperature = fit_temperature(logits, targets)
    fitted = None
    if logits.shape[1] == 2:
        positive_probabilities = (logits.double() / temperature).softmax(1)[:, 1]
        fitted = fit_threshold(positive_probabilities, targets == 1, index_patients(patients))
    distances = outputs.distances[:, sites.index(site.name)] if site.name in sites else None
    return OperatingPoint(
        site=site.name,
        task=site.task.name,
        source=source,
        patients=len(set(patients)),
        cases=len(patients),
        temperature=make_metric(temperature, 1).value,
        threshold=make_metric(fitted[0], 1).value if fitted else None,
        threshold_rule=fitted[1] if fitted else None,
        distance_limit=None if distances is None else fit_distance_limit(distances, patients),
    )
