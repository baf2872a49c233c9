"""Drops on the same patients: the difference of the scores, with the standard error of the bootstrap over patients."""

from decimal import Decimal

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from anamnesis.evaluation.metrics import classification_metrics
from anamnesis.evaluation.paired_differences import (
    CaseTruth,
    ScoredCases,
    drops_of_areas,
    drops_of_shares,
    mean_difference,
    paired_differences,
)

CLASSES = ("normal", "benign", "malignant")


def make_cases(patients: int = 90) -> tuple[ScoredCases, ScoredCases, CaseTruth, Tensor]:
    """Returns two versions' scores of 1 to 6 images of each patient, the truth, and the number of each patient."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(1, 7, (patients,), generator=generator)
    patient_index = torch.arange(patients).repeat_interleave(numbers)
    targets = patient_index % 3
    shared = 1.5 * one_hot(targets, 3) + 0.8 * torch.randn(patients, 3, generator=generator)[patient_index]
    before, after = (
        (shared + spread * torch.randn(len(targets), 3, generator=generator)).double() for spread in (0.5, 0.9)
    )
    truth = CaseTruth(targets, CLASSES, [f"p{number}" for number in patient_index.tolist()])
    versions = (ScoredCases(logits, logits.argmax(1)) for logits in (before, after))
    return (*versions, truth, patient_index)


def test_drops_are_differences_of_the_scores() -> None:
    before, after, truth, _ = make_cases()
    drops = paired_differences("sha256:base", before, after, truth, "BalancedAccuracy")
    scores = [
        classification_metrics(cases.logits, truth.targets, range(3), truth.patients) for cases in (before, after)
    ]
    assert [drop.metric for drop in drops] == ["BalancedAccuracy", "AUROC", *(f"Recall/{name}" for name in CLASSES)]
    for drop in drops[:2]:
        expected = scores[0][drop.metric].value - scores[1][drop.metric].value
        assert drop.drop == pytest.approx(expected, abs=Decimal("0.000003"))
        assert drop.drop == drop.losses - drop.gains
    assert [drop.patients for drop in drops] == [90, 90, 30, 30, 30]


def test_standard_errors_are_those_of_the_bootstrap_over_patients() -> None:
    before, after, truth, patient_index = make_cases()
    drops = {drop.metric: drop for drop in paired_differences("base", before, after, truth, "BalancedAccuracy")}
    generator = torch.Generator().manual_seed(1)
    samples: dict[str, list[float]] = {metric: [] for metric in drops}
    for _ in range(200):
        drawn = torch.randint(90, (90,), generator=generator)
        rows = torch.cat([(patient_index == patient).nonzero()[:, 0] for patient in drawn.tolist()])
        images = torch.arange(len(rows))
        is_true_class = truth.targets[rows] == torch.arange(3)[:, None]
        is_right = [(cases.answers == truth.targets)[rows] for cases in (before, after)]
        results = {
            "BalancedAccuracy": drops_of_shares(*is_right, is_true_class, images),
            **{
                f"Recall/{name}": drops_of_shares(*is_right, rows_of_class[None], images)
                for name, rows_of_class in zip(CLASSES, is_true_class, strict=True)
            },
        }
        probabilities = [cases.logits[rows].softmax(1).T for cases in (before, after)]
        results["AUROC"] = drops_of_areas(*probabilities, is_true_class, images)
        for metric, result in results.items():
            samples[metric].append(float(result.losses - result.gains))
    for metric, values in samples.items():
        deviation = torch.tensor(values).std().item()
        assert float(drops[metric].standard_error) == pytest.approx(deviation, rel=0.15), metric


def test_copies_of_images_say_nothing_new() -> None:
    before, after, truth, _ = make_cases()
    single = [truth.patients.index(f"p{number}") for number in range(90)]
    results = []
    for rows in (torch.tensor(single), torch.tensor(single).repeat_interleave(8)):
        versions = [ScoredCases(cases.logits[rows], cases.answers[rows]) for cases in (before, after)]
        chosen = CaseTruth(truth.targets[rows], CLASSES, [truth.patients[row] for row in rows.tolist()])
        results.append(paired_differences("base", *versions, chosen, "Accuracy"))
    for once, often in zip(*results, strict=True):
        assert (once.drop, once.standard_error, once.losses) == (often.drop, often.standard_error, often.losses)
        if once.metric != "AUROC":  # a case is in many pairs
            assert float(often.effective_patients) == pytest.approx(float(once.effective_patients), rel=0.02)
            assert float(once.effective_patients) == pytest.approx(once.patients, rel=0.05)


def test_a_version_without_a_change_has_no_drop_and_the_number_of_its_patients() -> None:
    before, _, truth, _ = make_cases()
    for drop in paired_differences("base", before, before, truth, "Accuracy"):
        assert (drop.losses, drop.gains, drop.standard_error) == (0, 0, 0)
        assert drop.effective_patients <= drop.patients


def test_recalls_of_small_classes_stay_hidden() -> None:
    before, after, truth, _ = make_cases(27)  # 9 patients in each class
    assert [drop.metric for drop in paired_differences("base", before, after, truth, "AUROC")] == ["AUROC"]


def test_a_case_without_an_answer_is_lost() -> None:
    before, _, truth, _ = make_cases()
    silent = ScoredCases(before.logits, torch.full_like(before.answers, -1))
    accuracy = paired_differences("base", before, silent, truth, "Accuracy")[0]
    assert accuracy.drop == accuracy.losses > Decimal("0.5")


def test_a_mean_over_cases_has_a_difference_too() -> None:
    values = torch.rand(60, generator=torch.Generator().manual_seed(0))
    patients = [f"p{row // 2}" for row in range(60)]
    dice = mean_difference("base", "Dice", before=values, after=values - 0.1, patients=patients)
    assert (dice.drop, dice.standard_error, dice.patients, dice.losses) == (Decimal("0.1"), 0, 30, None)
    distance = mean_difference("base", "SurfaceDistance", before=values, after=values + 0.1, patients=patients)
    assert distance.drop == Decimal("0.1"), "a longer distance is worse"
