"""Calibration of a version at a site: its temperature and threshold come from the site's frozen calibration set."""

from collections.abc import Iterable

import torch
from torch import Tensor

from anamnesis.evaluation.calibration import calibration_error, fit_temperature
from anamnesis.evaluation.operating_points import fit_threshold
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import Calibration, Sample, SiteRef, Split
from anamnesis.snapshots import Guard, open_calibration_set
from anamnesis.snapshots.testsets import find_test_set
from anamnesis.storage.store import open_store


def open_calibration_samples(site: SiteRef) -> tuple[str, Iterable[Sample]]:
    """Returns the digest and the samples of the calibration set beside a site's test set; empty where there is none."""
    store = open_store(site.store)
    digest = find_test_set(store, site.test_set).calibration
    if not digest:
        return "", ()
    return digest, open_calibration_set(store, digest, Guard({digest: frozenset({Split.CALIBRATION})}))


def fit_calibration(
    calibration_set: str, calibration_cases: tuple[Tensor, Tensor], test_cases: tuple[Tensor, Tensor]
) -> Calibration:
    """Fits temperature and threshold on the calibration cases, and measures the calibration error on the test cases.

    Args:
        calibration_set: digest of the calibration set.
        calibration_cases: logits [N, C] of the task's own classes, and the position [N] of the true class.
        test_cases: the same of the test set.
    """
    logits, targets = calibration_cases
    temperature = fit_temperature(logits, targets)
    threshold = None
    if logits.shape[1] == 2:
        fitted = fit_threshold(
            (logits.double() / temperature).softmax(1)[:, 1], targets == 1, torch.arange(len(targets))
        )
        threshold = fitted[0] if fitted else None
    test_logits, test_targets = test_cases
    before, after = (
        calibration_error((test_logits.double() / divisor).softmax(1), test_targets) for divisor in (1.0, temperature)
    )
    return Calibration(
        calibration_set=calibration_set,
        cases=len(targets),
        temperature=make_metric(temperature, len(targets)).value,
        threshold=None if threshold is None else make_metric(threshold, len(targets)).value,
        error_before=make_metric(before, len(test_targets)).value,
        error_after=make_metric(after, len(test_targets)).value,
    )


def task_logits(logits: Tensor, targets: Tensor, class_indices: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Returns the columns [N, C] of the task's own classes, and the position [N] of the true class among them."""
    task_classes = torch.tensor(class_indices)
    return logits[:, task_classes], (targets[:, None] == task_classes).int().argmax(1)
