"""Heads from sums: the cross-validation error is that of the regression itself; scales of features do not matter."""

import json

import numpy as np
import pytest
import torch

from anamnesis.methods.closed_form.closed_form_head import ClosedFormHead
from anamnesis.methods.closed_form.heads import STRENGTHS, HeadKind, cross_validate, solve_head
from anamnesis.methods.features.feature_statistics import FeatureStatistics, linear_logits
from anamnesis.records import InputError

GENERATOR = torch.Generator().manual_seed(0)
CLASSES = torch.arange(90) % 3
FEATURES = 2 * torch.randn(90, 8, generator=GENERATOR) + CLASSES[:, None] * torch.rand(8, generator=GENERATOR) + 5
EVERY = torch.ones(90, dtype=torch.bool)


def sums_of(rows: torch.Tensor = EVERY, classes: int = 3, patients: int = 20) -> FeatureStatistics:
    statistics = FeatureStatistics(8, classes)
    statistics.add(FEATURES[rows], CLASSES[rows])
    statistics.patients.fill_(patients)
    return statistics


def test_the_cross_validation_error_is_that_of_the_regression() -> None:
    errors = cross_validate(sums_of())
    assert tuple(errors) == STRENGTHS
    features, targets = FEATURES.double().numpy(), np.eye(3)[CLASSES]
    standardised = (features - features.mean(0)) / features.std(0)
    for strength, error in errors.items():
        hat = standardised @ np.linalg.inv(standardised.T @ standardised + 90 * strength * np.eye(8)) @ standardised.T
        hat = hat + 1 / 90
        residual = ((targets - hat @ targets) ** 2).sum() / 90
        assert error == pytest.approx(residual / (1 - np.trace(hat) / 80) ** 2, rel=1e-6)
    assert min(errors, key=errors.__getitem__) not in (STRENGTHS[0], STRENGTHS[-1])


def test_fewer_patients_than_parameters_choose_more_strength() -> None:
    strengths = []
    for patients in (0, 1, 4, 9000):
        head = ClosedFormHead("ridge", 8, HeadKind.DISCRIMINANT)
        head.replace_site("north", sums_of(patients=patients))
        strengths.append(head.strength)
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == STRENGTHS[-1]
    assert strengths[-1] < strengths[-2]
    assert ClosedFormHead("ridge", 8, HeadKind.RIDGE, 0.7).strength == 0.7


@pytest.mark.parametrize("kind", HeadKind)
def test_an_empty_class_is_stable(kind: HeadKind) -> None:
    assert solve_head(sums_of(classes=5), kind, 0.1).isfinite().all()
    assert solve_head(FeatureStatistics(8, 2), kind, 0.1).isfinite().all()


@pytest.mark.parametrize("kind", HeadKind)
def test_a_class_without_images_is_never_the_answer(kind: HeadKind) -> None:
    head = ClosedFormHead("ridge", 8, kind)
    head.replace_site("north", sums_of(classes=5))
    answers = linear_logits(FEATURES.mean(0, keepdim=True).double(), head.weights).softmax(1)
    assert answers[0, :3].all()
    assert not answers[0, 3:].any()


def test_a_stored_choice_is_the_same_choice_where_errors_differ_in_their_last_digits() -> None:
    head, loaded = (ClosedFormHead("ridge", 8, HeadKind.DISCRIMINANT) for _ in range(2))
    head.replace_site("north", sums_of(patients=10**12))
    loaded.load_state_dict(
        json.loads(json.dumps({"ridge_choice/errors": head.state_dict()["ridge_choice/errors"]})), ""
    )
    assert (loaded.strength, loaded.errors) == (head.strength, head.errors)
    head.replace_site("north", sums_of(patients=1))
    assert "inf" in str(head.state_dict()["ridge_choice/errors"])


@pytest.mark.parametrize("kind", HeadKind)
@pytest.mark.parametrize("scale", [1e-15, 1, 1e15])
def test_a_constant_feature_and_the_scale_of_features_change_no_answer(kind: HeadKind, scale: float) -> None:
    plain = torch.cat([FEATURES[:, :7], torch.full((90, 1), 1.0)], dim=1)
    scaled = torch.cat([FEATURES[:, :7] * torch.logspace(-3, 3, 7), torch.full((90, 1), 4.0)], dim=1) * scale
    logits = []
    for features in (plain, scaled):
        statistics = FeatureStatistics(8, 3)
        statistics.add(features, CLASSES)
        logits.append(linear_logits(features.double(), solve_head(statistics, kind, 0.2)))
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)


def test_a_site_that_grows_is_corrected_or_leaves_has_the_sums_of_all_images_at_once() -> None:
    head = ClosedFormHead("ridge", 8, HeadKind.RIDGE)
    head.replace_site("north", sums_of(CLASSES == 0))
    head.replace_site("south", sums_of(CLASSES == 1))
    head.replace_site("north", sums_of(CLASSES != 1))
    total, expected = head.sums.total, sums_of(patients=40)
    torch.testing.assert_close(total.gram, expected.gram, rtol=1e-6, atol=0)
    torch.testing.assert_close(total.sums, expected.sums, rtol=1e-6, atol=0)
    assert total.patients == expected.patients
    loaded = ClosedFormHead("ridge", 8, HeadKind.RIDGE)
    loaded.load_state_dict(head.state_dict(), "cpu")
    assert torch.equal(loaded.weights, head.weights)
    assert {name.split("/")[0] for name in head.state_dict()} == {"ridge.north", "ridge.south", "ridge_choice"}
    with pytest.raises(InputError, match="sums of site 'north' lack the number of patients"):
        loaded.load_state_dict({k: v for k, v in head.state_dict().items() if not k.endswith("patients")}, "cpu")
    head.forget_site("south", (0, 1, 2))
    torch.testing.assert_close(head.sums.total.gram, sums_of(CLASSES != 1).gram)
    expected_weights = solve_head(sums_of(CLASSES != 1), HeadKind.RIDGE, head.strength)
    torch.testing.assert_close(head.weights[[0, 2]], expected_weights[[0, 2]])
