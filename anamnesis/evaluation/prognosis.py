"""Scores of risks and survival curves: concordance, where higher is better, and the Brier score, where lower is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.evaluation.patient_intervals import count_patients, index_patients, patient_variance, sum_by_patient
from anamnesis.evaluation.statistics import make_metric
from anamnesis.records import Metric, PairedDifference
from anamnesis.records.metric_names import C_INDEX
from anamnesis.registry.student_t import t_quantile


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is known about the cases.

    Attributes:
        days: [N], to the event or to the end of observation.
        event: [N], bool: whether the event was observed.
        patients: [N], the pseudonym of the patient of each case.
    """

    days: Tensor
    event: Tensor
    patients: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Concordance:
    """The index, and how much each patient moves it [P] (jackknife)."""

    value: float
    influence: Tensor


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
    concordant, is_comparable = _pairs(risk, days, event)
    pairs = int(is_comparable.sum())
    return float(concordant.sum()) / pairs if pairs else None


def concordance_metric(risk: Tensor, truth: FollowUp) -> Metric | None:
    """Returns the concordance index with a 95 % interval over patients; none without two comparable cases."""
    concordance = _concordance(risk, truth)
    if concordance is None:
        return None
    count = len(concordance.influence)
    interval = None
    if count > 1:
        half = t_quantile(0.975, count - 1) * float(patient_variance(concordance.influence, torch.tensor(count)).sqrt())
        interval = (max(concordance.value - half, 0.0), min(concordance.value + half, 1.0))
    return make_metric(concordance.value, len(risk), interval, patients=count)


def concordance_difference(reference: str, before: Tensor, after: Tensor, truth: FollowUp) -> PairedDifference | None:
    """Returns the drop of the concordance index on the same patients; none without two comparable cases.

    Args:
        reference: digest of the reference version.
        before: [N], risks of the reference.
        after: [N], risks of the version.
        truth: of the same cases.
    """
    indices = [_concordance(risk, truth) for risk in (before, after)]
    if indices[0] is None or indices[1] is None:
        return None
    influence = indices[0].influence - indices[1].influence
    count = len(influence)
    return PairedDifference(
        reference=reference,
        metric=C_INDEX,
        drop=make_metric(indices[0].value - indices[1].value, 0).value,
        standard_error=make_metric(float(patient_variance(influence, torch.tensor(count)).sqrt()), 0).value,
        effective_patients=make_metric(float(count), 0).value,
        patients=count,
    )


def integrated_brier_score(survival: Tensor, times: Tensor, truth: FollowUp) -> Tensor:
    """Returns each case's part [N] of the integrated Brier score: their mean is the score.

    At a time t a case with an event before t adds S(t)^2 / G(days-), a case under observation (1 - S(t))^2 / G(t), and
    a case censored before t nothing; G is the Kaplan-Meier estimate of staying uncensored. The integral over the times
    (trapezium rule) is divided by their range. Source: Graf et al., Stat. Med. 18 (1999) 2529.

    Args:
        survival: [N, T], probability of no event until each time.
        times: [T], in days, ascending; two or more.
        truth: of the cases.
    """
    days, event = truth.days.double(), truth.event.bool()
    survival, times = survival.double(), times.double()
    had_event = (days[:, None] <= times) & event[:, None]
    is_observed = days[:, None] > times
    weights_of_events = _uncensored(days, event, days, is_left_limit=True)[:, None]
    weights_of_times = _uncensored(days, event, times)[None]
    scores = torch.zeros_like(survival)
    scores += torch.where(had_event, survival.square() / weights_of_events.clamp(min=1e-9), 0.0)
    scores += torch.where(is_observed, (1 - survival).square() / weights_of_times.clamp(min=1e-9), 0.0)
    return torch.trapezoid(scores, times) / (times[-1] - times[0])


def _pairs(risk: Tensor, days: Tensor, event: Tensor) -> tuple[Tensor, Tensor]:
    """Returns [N, N] how concordant each pair is (0, 0.5, 1; 0 where not comparable), and whether it is comparable."""
    is_earlier = (days[:, None] < days) | ((days[:, None] == days) & ~event)
    is_comparable = is_earlier & event[:, None]
    concordant = (risk[:, None] > risk).double() + 0.5 * (risk[:, None] == risk).double()
    return concordant * is_comparable, is_comparable


def _concordance(risk: Tensor, truth: FollowUp) -> _Concordance | None:
    """Returns the index and the influence of each patient: how it changes where all pairs of a patient are left out."""
    concordant, is_comparable = _pairs(risk.double().cpu(), truth.days.cpu(), truth.event.bool().cpu())
    if not is_comparable.any():
        return None
    patient_index = index_patients(truth.patients)
    is_own_pair = patient_index[:, None] == patient_index
    kept_concordant, kept_comparable = (
        pairs.double().sum()
        - sum_by_patient(pairs.double().sum(0) + pairs.double().sum(1), patient_index)
        + sum_by_patient((pairs * is_own_pair).double().sum(0), patient_index)
        for pairs in (concordant, is_comparable)
    )
    value = float(concordant.sum() / is_comparable.sum())
    left_out = torch.where(kept_comparable > 0, kept_concordant / kept_comparable.clamp(min=1), value)
    count = count_patients(patient_index)
    return _Concordance(value, (left_out.mean() - left_out) * (count - 1) / count)


def _uncensored(days: Tensor, event: Tensor, times: Tensor, is_left_limit: bool = False) -> Tensor:
    """Returns the Kaplan-Meier estimate [T] of staying uncensored up to each time, or just before it."""
    censored_days = torch.unique(days[~event])
    at_risk = (days[:, None] >= censored_days).sum(0).double()
    # at equal times events come before the end of observation
    at_risk -= ((days[:, None] == censored_days) & event[:, None]).sum(0)
    leaving = ((days[:, None] == censored_days) & ~event[:, None]).sum(0).double()
    steps = torch.cat([torch.ones(1, dtype=torch.float64), (1 - leaving / at_risk.clamp(min=1)).cumprod(0)])
    return steps[torch.searchsorted(censored_days, times, right=not is_left_limit)]
