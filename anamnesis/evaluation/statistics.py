"""Exact scores, means over patients and ranks, for all metrics."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import torch
from torch import Tensor

from anamnesis.evaluation.patient_intervals import index_patients, patient_variance, sum_by_patient
from anamnesis.records import Metric
from anamnesis.registry.student_t import t_quantile


def make_metric(value: float, n: int, interval: tuple[float, float] | None = None, patients: int = 0) -> Metric:
    """Returns ``value`` and its interval as exact decimals of six places.

    Raises:
        InputError: a number is not finite.
    """
    low, high = (None, None) if interval is None else (_six_places(end) for end in interval)
    return Metric(_six_places(value), n, low, high, patients)


def mean_metrics(values: Mapping[str, Tensor], patients: Sequence[str] | None = None) -> dict[str, Metric]:
    """Returns the mean over the cases of each [N] tensor, with its 95 % interval over patients.

    The interval is mean -+ t sqrt(V), where V is the variance of the ratio estimator sum(values) / sum(cases) over
    patients (Cochran, Sampling Techniques (1977), chapter 6.3) and t the quantile for their number less one. A single
    patient gives none.

    Args:
        values: [N] each.
        patients: [N], the pseudonym of the patient of each case; by default each case has a patient of its own.
    """
    table = torch.stack([column.double().cpu() for column in values.values()])
    n = table.shape[1]
    patient_index = torch.arange(n) if patients is None else index_patients(patients)
    count, means = int(patient_index.max()) + 1, table.mean(1)
    if count == 1:
        return {name: make_metric(float(mean), n, patients=1) for name, mean in zip(values, means, strict=True)}
    influence = sum_by_patient(table - means[:, None], patient_index) / n
    half_widths = t_quantile(0.975, count - 1) * patient_variance(influence, torch.tensor(count)).sqrt()
    return {
        name: make_metric(mean, n, (mean - half, mean + half), patients=count)
        for name, mean, half in zip(values, means.tolist(), half_widths.tolist(), strict=True)
    }


def average_ranks(values: Tensor) -> Tensor:
    """Returns the ranks 1..N along the last axis; equal values get their mean rank."""
    values = values.contiguous()
    ordered = values.sort(-1).values
    below = torch.searchsorted(ordered, values, right=False)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to + 1).double() / 2


def _six_places(value: float) -> Decimal:
    return Decimal(f"{value:.6f}") + 0  # + 0 turns -0.000000 into 0.000000
