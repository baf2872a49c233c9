"""95 % intervals over patients, for shares, means of shares and areas under ROC curves.

Images of one patient resemble each other, so the number of images says little about what other patients would show.
An *influence value* is how much one patient moves an estimate (Huber, Robust Statistics (1981), chapter 1.3); their
squares add up to its variance. All functions take any leading dimensions, so that a simulation computes thousands of
test sets at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anamnesis.registry.student_t import t_quantile

_PRIOR_PATIENTS = 2.0
"""Patients' worth of belief that all images of a patient agree. Few errors say little about how they cluster."""
_SMALLEST_AREA_RATIO = 0.25
"""Of the variance of an area to that of Hanley and McNeil, where scores are distributed otherwise than they assume."""
_HALVINGS = 50


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates from 0 to 1, with what each patient contributes.

    Attributes:
        values: [...], the estimates.
        influence: [..., P], influence value of each patient; a row sums to 0.
        sizes: [..., S], numbers of independent patients if all images of a patient agree: of a share S = 1; of an area
            under a ROC curve S = 2, positives and negatives.
        cases: [..., S], numbers of images.
        informative: [...], number of patients that show how errors cluster: those with an error, or those without one
            where they are fewer.
        patients: [...], number of patients.
    """

    values: Tensor
    influence: Tensor
    sizes: Tensor
    cases: Tensor
    informative: Tensor
    patients: Tensor

    @property
    def standard_errors(self) -> Tensor:
        """[...], over patients."""
        return patient_variance(self.influence, self.patients).sqrt()


def index_patients(patients: Sequence[str]) -> Tensor:
    """Returns [N]: the number of each case's patient, from 0, in the order of their first cases."""
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    return torch.tensor([numbers[patient] for patient in patients], dtype=torch.long)


def count_patients(patient_index: Tensor) -> int:
    """Returns the number of different patients."""
    return len(torch.unique(patient_index))


def sum_by_patient(values: Tensor, patient_index: Tensor) -> Tensor:
    """Returns the sums [..., P] of the values [..., N] of each patient."""
    count = int(patient_index.max()) + 1
    sums = torch.zeros(*values.shape[:-1], count, dtype=torch.float64)
    return sums.index_add_(-1, patient_index, values.double())


def patient_variance(influence: Tensor, patients: Tensor) -> Tensor:
    """Returns the variance [...] of estimates with influence values [..., P], of ``patients`` [...] patients."""
    return influence.square().sum(-1) * patients / (patients - 1).clamp(min=1)


def estimate_shares(is_right: Tensor, is_member: Tensor, patient_index: Tensor) -> Estimates:
    """Returns the share of the member cases that are right, with influence values (right - share * members) / cases.

    Source: the ratio estimator, Cochran, Sampling Techniques (1977), chapter 6.3.

    Args:
        is_right: [..., N], bool.
        is_member: [..., N], bool: the cases that count; at least one in each row.
        patient_index: [N].
    """
    right = sum_by_patient(is_right & is_member, patient_index)
    members = sum_by_patient(is_member & torch.ones_like(is_right), patient_index)
    cases = members.sum(-1)
    shares = right.sum(-1) / cases
    return Estimates(
        values=shares,
        influence=(right - shares[..., None] * members) / cases[..., None],
        sizes=(cases.square() / members.square().sum(-1))[..., None],
        cases=cases[..., None],
        informative=torch.minimum((right > 0).sum(-1), (right < members).sum(-1)),
        patients=(members > 0).sum(-1),
    )


def estimate_areas(scores: Tensor, is_positive: Tensor, patient_index: Tensor) -> Estimates:
    """Returns areas under ROC curves, with the influence values of a patient's positives and negatives.

    Source: structural components of DeLong et al., Biometrics 44 (1988) 837; added up within patients: Obuchowski,
    Biometrics 53 (1997) 567.

    Args:
        scores: [..., N], higher for positives.
        is_positive: [..., N], bool; each row has both values.
        patient_index: [N].
    """
    is_negative = ~is_positive
    ranked = placements(scores, is_positive)
    positives, negatives = is_positive.sum(-1, keepdim=True), is_negative.sum(-1, keepdim=True)
    areas = (ranked * is_positive).sum(-1, keepdim=True) / positives
    weights = is_positive.double() / positives + is_negative.double() / negatives
    has_loss = sum_by_patient(ranked < 1, patient_index) > 0
    has_gain = sum_by_patient(ranked > 0, patient_index) > 0
    counts = torch.stack([sum_by_patient(group, patient_index) for group in (is_positive, is_negative)], dim=-2)
    cases = counts.sum(-1)
    return Estimates(
        values=areas[..., 0],
        influence=sum_by_patient((ranked - areas) * weights, patient_index),
        sizes=cases.square() / counts.square().sum(-1),
        cases=cases,
        informative=torch.minimum(has_loss.sum(-1), has_gain.sum(-1)),
        patients=(counts.sum(-2) > 0).sum(-1),
    )


def placements(scores: Tensor, is_positive: Tensor) -> Tensor:
    """Returns [..., N]: of a positive the share of negatives below it, of a negative that of positives above it.

    Equal scores count half. The mean over the positives is the area under the ROC curve, and so is that over negatives.
    """
    values = scores.double().contiguous()

    def count_below(is_counted: Tensor) -> Tensor:
        """Returns [..., N]: the number of counted cases below each case, with half of the equal ones."""
        ordered = values.masked_fill(~is_counted, torch.inf).sort(-1).values
        below, up_to = (torch.searchsorted(ordered, values, right=is_right) for is_right in (False, True))
        limit = is_counted.sum(-1, keepdim=True)
        return (below + torch.minimum(up_to, limit)).double() / 2

    positives, negatives = is_positive.sum(-1, keepdim=True), (~is_positive).sum(-1, keepdim=True)
    return torch.where(is_positive, count_below(~is_positive) / negatives, 1 - count_below(is_positive) / positives)


def share_intervals(estimates: Estimates) -> tuple[Tensor, Tensor]:
    """Returns the ends [...] of the 95 % score intervals of shares.

    All shares e with |share - e| <= t sqrt(e (1 - e) / n), as Wilson (JASA 22 (1927) 209), where n is the effective
    number of patients and t the quantile for their number less one. At 0 and at 1 the width is positive.
    """
    shares = estimates.values
    spread = _quantiles(estimates.patients - 1).square() / effective_patients(estimates)
    centre = (shares + spread / 2) / (1 + spread)
    half = (spread * shares * (1 - shares) + spread.square() / 4).sqrt() / (1 + spread)
    return (torch.minimum(shares, centre - half).clamp(min=0), torch.maximum(shares, centre + half).clamp(max=1))


def effective_patients(estimates: Estimates) -> Tensor:
    """Returns n [...]: how many independent patients would give a share its variance, share (1 - share) / n."""
    shares, patients = estimates.values, estimates.sizes[..., 0]
    independent_variance = shares * (1 - shares) / (patients - 1).clamp(min=1)
    return patients / _variance_ratio(estimates, independent_variance)


def area_intervals(estimates: Estimates) -> tuple[Tensor, Tensor]:
    """Returns the ends [...] of the 95 % intervals of areas under ROC curves.

    All areas e with |area - e| <= t sqrt(r V(e)): the variance V of Hanley and McNeil (Radiology 143 (1982) 29) for the
    numbers of independent patients, inverted as method 5 of Newcombe (Stat. Med. 25 (2006) 559), and scaled by the
    ratio r of the variance over patients to it. At an area of 1 the width is positive.
    """
    areas, sizes = estimates.values, estimates.sizes
    ratio = _variance_ratio(estimates, _area_variance(areas, sizes), _SMALLEST_AREA_RATIO)
    reach = _quantiles(_variance_degrees(estimates)).square() * ratio

    def boundary(outside: Tensor) -> Tensor:
        inside = areas
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2
            is_outside = (areas - middle).square() > reach * _area_variance(middle, sizes)
            outside, inside = torch.where(is_outside, middle, outside), torch.where(is_outside, inside, middle)
        return inside

    return boundary(torch.zeros_like(areas)), boundary(torch.ones_like(areas))


def mean_interval(estimates: Estimates, ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Returns the ends [...] of the 95 % interval of the mean of C estimates, from their values [..., C] and intervals.

    mean - sqrt(sum_ij r_ij d_i d_j) / C, where d are the distances to the ends and r the correlations of the estimates
    over patients: the method of variance estimates recovery, Zou and Donner, Stat. Med. 27 (2008) 1693.
    """
    low, high = ends
    values, influence = estimates.values, estimates.influence
    covariance = influence @ influence.transpose(-1, -2)
    scales = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    products = scales[..., None] * scales[..., None, :]
    correlation = torch.where(products > 0, covariance / products.clamp(min=1e-300), 0.0)
    correlation.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    mean = values.mean(-1)

    def reach(distances: Tensor) -> Tensor:
        return (distances[..., None, :] @ correlation @ distances[..., None])[..., 0, 0].clamp(min=0).sqrt()

    count = values.shape[-1]
    below, above = reach(values - low) / count, reach(high - values) / count
    return (mean - below).clamp(min=0), (mean + above).clamp(max=1)


def shrunk_ratio(measured: Tensor, informative: Tensor, smallest: Tensor) -> Tensor:
    """Returns a ratio [...] of the variance over patients to the one where all images of a patient agree.

    It is the geometric mean of the measured ratio, with the weight of the patients that show it, and of 1, with the
    weight of two patients. The constant is chosen by simulation: ``tests/evaluation/test_patient_intervals.py``.

    Args:
        measured: [...], 0 or more.
        informative: [...], see ``Estimates``.
        smallest: [...], the ratio of independent images.
    """
    weight = informative / (informative + _PRIOR_PATIENTS)
    return torch.maximum(torch.maximum(measured, smallest) ** weight, smallest)


def _variance_ratio(estimates: Estimates, independent_variance: Tensor, smallest: float = 1.0) -> Tensor:
    variance = patient_variance(estimates.influence, estimates.patients)
    measured = torch.where(independent_variance > 0, variance / independent_variance.clamp(min=1e-300), 1.0)
    least = smallest * (estimates.sizes / estimates.cases).amin(-1)
    return shrunk_ratio(measured, estimates.informative.double(), least)


def _variance_degrees(estimates: Estimates) -> Tensor:
    """Returns the degrees of freedom [...] of a variance over patients, from 2 to their number less one.

    2 / (sum d^4 / (sum d^2)^2 - 1 / P): fewer where few patients have most of the influence d (Satterthwaite, Biom.
    Bull. 2 (1946) 110, with the variance of a sample variance). Rounded to whole numbers.
    """
    squares, patients = estimates.influence.square(), estimates.patients.double()
    concentration = squares.square().sum(-1) / squares.sum(-1).square().clamp(min=1e-300)
    degrees = 2 / (concentration - 1 / patients).clamp(min=1e-9)
    return torch.minimum(degrees.clamp(min=2), patients - 1).round()


def _area_variance(areas: Tensor, sizes: Tensor) -> Tensor:
    positives, negatives = sizes[..., 0], sizes[..., 1]
    spread = 1 + ((positives + negatives) / 2 - 1) * ((1 - areas) / (2 - areas) + areas / (1 + areas))
    return areas * (1 - areas) * spread / (positives * negatives)


def _quantiles(degrees: Tensor) -> Tensor:
    """Returns the two-sided 95 % quantiles of Student's t."""
    values, positions = torch.unique(degrees.clamp(min=1), return_inverse=True)
    return torch.tensor([t_quantile(0.975, float(value)) for value in values], dtype=torch.float64)[positions]
