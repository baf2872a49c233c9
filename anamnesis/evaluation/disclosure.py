"""Statistical disclosure control: counts of patients, masked cells of a table, bins with enough patients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anamnesis.records import MINIMUM_CELL_PATIENTS

_KNOWN = 1 - 1e-6
"""Leverage from which a cell follows from the totals of rows and columns."""


def patient_numbers(patients: Sequence[str]) -> Tensor:
    """Returns the patient of each case as a number from 0, [N]."""
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    return torch.tensor([numbers[patient] for patient in patients])


def count_patients(groups: Tensor, patients: Tensor, size: int) -> Tensor:
    """Returns the number of different patients in each group, [size].

    Args:
        groups: [N], the group of each case.
        patients: [N], see ``patient_numbers``.
        size: number of groups.
    """
    pairs = torch.unique(torch.stack([groups, patients]), dim=1)
    return torch.bincount(pairs[0], minlength=size)


def masked_cells(patients: Tensor, hidden_rows: Tensor, last_resort: Tensor | None = None) -> Tensor:
    """Returns which cells of a table are not published, [R, C].

    First the cells about fewer than ``MINIMUM_CELL_PATIENTS`` patients and the hidden rows. Then further cells, those
    with the fewest patients first, until no masked cell follows from the totals of all rows and columns and the other
    cells (its row of the projection on the totals is 1), and until the masked cells of a row or column together have
    enough patients. Source: complementary suppression, Cox, JASA 75 (1980) 377.

    Args:
        patients: [R, C], number of patients of each cell.
        hidden_rows: [R], rows that are masked whole.
        last_resort: [R, C], cells that are masked only where a masked cell would follow from the totals otherwise.
    """
    late = torch.zeros_like(patients, dtype=torch.bool) if last_resort is None else last_resort
    masked = (patients < MINIMUM_CELL_PATIENTS) | hidden_rows[:, None]
    while not masked.all():
        few = _is_in_small_line(masked, patients, dim=1) | _is_in_small_line(masked, patients, dim=0)
        candidates = few & ~masked & ~late
        if not candidates.any():
            exposed = masked & _follows_from_totals(masked)
            candidates = (exposed.any(1)[:, None] | exposed.any(0)) & ~masked
        if not candidates.any():
            break
        cost = patients.double() + late * 1e9
        masked = masked | (torch.arange(masked.numel()) == _cheapest(cost, candidates)).view_as(masked)
    return masked


def enough_patients_bins(scores: Tensor, patients: Tensor, maximum: int) -> Tensor | None:
    """Returns the bin of each case, [N]: bins of equal numbers of cases by score, as many as have enough patients.

    Args:
        scores: [N]; the cases with the lowest scores are in bin 0.
        patients: [N], see ``patient_numbers``.
        maximum: largest number of bins.

    Returns:
        None where all cases together have fewer than ``MINIMUM_CELL_PATIENTS`` patients.
    """
    positions = torch.empty_like(patients)
    positions[scores.argsort(stable=True)] = torch.arange(len(patients))
    for number in range(min(maximum, len(patients) // MINIMUM_CELL_PATIENTS), 0, -1):
        bins = positions * number // len(patients)
        if int(count_patients(bins, patients, number).min()) >= MINIMUM_CELL_PATIENTS:
            return bins
    return None


def _is_in_small_line(masked: Tensor, patients: Tensor, dim: int) -> Tensor:
    """Returns the cells of rows (or columns) that have masked cells with too few patients in total, [R, C]."""
    total = (patients * masked).sum(dim, keepdim=True)
    return (masked.any(dim, keepdim=True) & (total < MINIMUM_CELL_PATIENTS)).expand_as(masked)


def _follows_from_totals(masked: Tensor) -> Tensor:
    """Returns which masked cells are determined by the totals of rows and columns, [R, C].

    The totals are linear in the masked cells; a cell is determined where the projection on the row space of this system
    keeps its unit vector: its leverage is 1.
    """
    rows, columns = masked.nonzero().T
    system = torch.cat(
        [
            (rows == torch.arange(masked.shape[0])[:, None]).double(),
            (columns == torch.arange(masked.shape[1])[:, None]).double(),
        ]
    )
    leverage = (torch.linalg.pinv(system) * system.T).sum(1)
    result = torch.zeros_like(masked)
    result[rows, columns] = leverage > _KNOWN
    return result


def _cheapest(cost: Tensor, candidates: Tensor) -> int:
    return int(cost.masked_fill(~candidates, torch.inf).flatten().argmin())
