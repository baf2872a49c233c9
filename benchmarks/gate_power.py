"""How often the gate's test of a drop promotes, rejects and holds an update, by what the update truly loses.

A task has two classes with as many patients each; the reference recognises 90 % of both. The update loses points of the
recall of one class, and answers otherwise on some further images by chance. All images of a patient share a part of
what makes them hard. The drops of balanced accuracy, ``AUROC`` and both recalls must pass, at a margin of 0.05 and the
first look. Each cell of a row is promoted / rejected / held, in percent.
"""

import math
from collections import Counter
from decimal import Decimal
from statistics import NormalDist

import torch
from torch import Tensor

from anamnesis.evaluation.paired_differences import Drops, drops_of_areas, drops_of_shares
from anamnesis.records import CriterionResult, PairedDifference
from anamnesis.registry.non_inferiority import DropQuestion, judge_drops

RECALL, PATIENT_SHARE = 0.9, 0.5
"""Recall of the reference, and the share of an image's difficulty that all images of its patient share."""
MARGIN, LOSSES = Decimal("0.05"), (0.0, 0.01, 0.03, 0.05, 0.10)
_ORDER = (CriterionResult.PASSED, CriterionResult.FAILED, CriterionResult.UNDECIDED)
_NORMAL = NormalDist()
_CASES, _FEWEST_UPDATES = 200_000, 200
"""Images of all simulated test sets of a cell, and its fewest updates."""


def run() -> list[dict[str, object]]:
    """Returns one row for each number of patients and images, and share of changed answers."""
    settings = [
        *((patients, 1, 0.01) for patients in (50, 100)),
        *((200, 1, changed) for changed in (0.005, 0.01, 0.02, 0.04)),
        *((500, 1, changed) for changed in (0.01, 0.04)),
        (2000, 1, 0.02),
        *((patients, images, 0.02) for patients, images in ((100, 5), (200, 5), (100, 20))),
    ]
    return [_row(*setting) for setting in settings]


def _row(patients: int, images: int, changed: float) -> dict[str, object]:
    """Returns the shares of promoted / rejected / held updates by the points lost on one class."""
    row: dict[str, object] = {"patients": patients, "images of each": images, "changed answers %": 100 * changed}
    for lost in LOSSES:
        results = simulate_updates(patients, images=images, changed=changed, lost=lost)
        row |= {"updates": results.total()}
        shares = (100 * results[result] / results.total() for result in _ORDER)
        row[f"{100 * lost:.0f} points lost"] = " / ".join(f"{share:.0f}" for share in shares)
    return row


def simulate_updates(
    patients: int,
    *,
    images: int,
    changed: float,
    lost: float,
    margin: Decimal = MARGIN,
    updates: int = 1000,
    seed: int = 0,
) -> Counter[CriterionResult]:
    """Returns how many simulated updates pass, fail and stay undecided at their first look.

    Args:
        patients: of the task; half of them in each class.
        images: of each patient.
        changed: share of answers that change by chance, in both directions alike.
        lost: share of the cases of the second class that the update does not recognise any more.
        margin: of all drops.
        updates: most updates to simulate; fewer for large test sets.
        seed: of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    patient_index = torch.arange(patients).repeat_interleave(images)
    is_positive = patient_index % 2 == 1
    count = min(updates, max(_FEWEST_UPDATES, _CASES // len(patient_index)))
    before, after = _scores(patient_index, count, changed, generator)
    signs = is_positive.double() * 2 - 1
    threshold = _NORMAL.inv_cdf(RECALL)
    shift = threshold - _NORMAL.inv_cdf(RECALL - lost)
    before, after = before + signs * threshold, after + signs * threshold - shift * is_positive
    is_right = [(scores > 0) == is_positive for scores in (before, after)]
    groups = torch.stack([~is_positive, is_positive])
    drops = [
        drops_of_shares(*is_right, groups, patient_index),
        drops_of_areas(before[:, None], after[:, None], is_positive[None], patient_index),
        *(drops_of_shares(*is_right, group[None], patient_index) for group in groups),
    ]
    return Counter(_decide([_question(item, row, margin) for item in drops]) for row in range(count))


def _scores(patient_index: Tensor, count: int, changed: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns the noise of the scores before and after, [count, N], of variance 1, which differ in ``changed``."""
    patients, images = int(patient_index.max()) + 1, len(patient_index)

    def draw() -> Tensor:
        shared = torch.randn(count, patients, generator=generator, dtype=torch.float64)[:, patient_index]
        own = torch.randn(count, images, generator=generator, dtype=torch.float64)
        return math.sqrt(PATIENT_SHARE) * shared + math.sqrt(1 - PATIENT_SHARE) * own

    correlation = _correlation_of(changed)
    before = draw()
    return before, correlation * before + math.sqrt(1 - correlation**2) * draw()


def _correlation_of(changed: float) -> float:
    """Returns the correlation of two normal scores of which this share is on different sides of the threshold."""
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, 400_000, generator=generator, dtype=torch.float64)
    threshold = -_NORMAL.inv_cdf(RECALL)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        other = middle * first + math.sqrt(1 - middle**2) * second
        is_different = (first > threshold) != (other > threshold)
        low, high = (middle, high) if float(is_different.double().mean()) > changed else (low, middle)
    return (low + high) / 2


def _question(drops: Drops, row: int, margin: Decimal) -> DropQuestion:
    losses, gains = Decimal(float(drops.losses[row])), Decimal(float(drops.gains[row]))
    difference = PairedDifference(
        reference="",
        metric="Accuracy",
        drop=losses - gains,
        standard_error=Decimal(float(drops.standard_errors[row])),
        effective_patients=Decimal(float(drops.effective_patients[row])),
        patients=drops.patients,
        losses=losses,
        gains=gains,
    )
    return DropQuestion(difference, margin)


def _decide(questions: list[DropQuestion]) -> CriterionResult:
    results = {test.result for test in judge_drops(questions)}
    if CriterionResult.FAILED in results:
        return CriterionResult.FAILED
    return CriterionResult.PASSED if results == {CriterionResult.PASSED} else CriterionResult.UNDECIDED
