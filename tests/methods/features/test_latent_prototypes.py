"""Latent prototypes and the reconstruction. Numbers are those of ``docs/methods/ewc_prototype.md``."""

import math

import pytest
import torch
from torch import Tensor, nn

from anamnesis.methods.base import Step
from anamnesis.methods.features.latent_prototypes import (
    Assignment,
    LatentPrototypes,
    PrototypeNearSample,
    SampleNearPrototype,
    squared_distances,
)
from anamnesis.methods.loss_term import Pass
from anamnesis.methods.losses.reconstruction import Reconstruction, batch_means

STEP = Step("train", 0, 0, 1, 0.0)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pass_of(maps: Tensor, targets: list[int]) -> Pass:
    rows = torch.tensor(targets)
    images = random(len(targets), 1, 4, 4)
    return Pass(images, rows, rows, maps, maps.mean((2, 3)), images, (0, 1, 2), None, STEP)  # type: ignore[arg-type]


def latent_of(values: Tensor, columns: list[int]) -> LatentPrototypes:
    latent = LatentPrototypes()
    latent.values, latent.columns = nn.Parameter(values), torch.tensor(columns)
    return latent


@pytest.mark.parametrize("assignment", Assignment)
def test_6_both_are_zero_where_prototypes_are_encodings(assignment: Assignment) -> None:
    maps = random(3, 6, 2, 2)
    latent = latent_of(maps.clone(), [0, 1, 2])
    for kind in (PrototypeNearSample, SampleNearPrototype):
        assert kind(1.0, latent, assignment).loss(pass_of(maps, [0, 1, 2])).item() == pytest.approx(0, abs=1e-6)


def test_6_they_are_the_formulas() -> None:
    maps, values, targets = random(5, 6, 2, 2), random(3, 6, 2, 2, seed=1), [0, 1, 1, 0, 1]
    latent, run = latent_of(values, [0, 1, 2]), pass_of(maps, targets)
    apart = [[float((x - mu).square().mean()) for mu in values] for x in maps]
    nearest = {
        PrototypeNearSample: sum(min(apart[i][k] for i in range(5)) for k in range(3)) / 3,
        SampleNearPrototype: sum(min(row) for row in apart) / 5,
    }
    own = {  # the third prototype has no image in the batch
        PrototypeNearSample: sum(min(apart[i][k] for i in range(5) if targets[i] == k) for k in range(2)) / 2,
        SampleNearPrototype: sum(apart[i][targets[i]] for i in range(5)) / 5,
    }
    for assignment, expected in ((Assignment.NEAREST, nearest), (Assignment.OWN, own)):
        for kind, value in expected.items():
            assert kind(1.0, latent, assignment).loss(run).item() == pytest.approx(value, rel=1e-4)


def test_6_the_expanded_square_is_the_distance_and_never_negative() -> None:
    first, second = random(7, 50), random(4, 50, seed=1)
    expected = torch.cdist(first, second).square()
    torch.testing.assert_close(squared_distances(first, second), expected, rtol=1e-4, atol=1e-4)
    near = 1e3 + first
    assert squared_distances(near, near).min() >= 0


def test_a_prototype_without_an_image_gets_no_gradient() -> None:
    latent, run = latent_of(random(3, 6, 2, 2, seed=1), [0, 1, 2]), pass_of(random(4, 6, 2, 2), [0, 1, 1, 0])
    total = sum(kind(1.0, latent, Assignment.OWN).loss(run) for kind in (PrototypeNearSample, SampleNearPrototype))
    total.backward()
    assert latent.values.grad[:2].abs().sum() > 0
    assert latent.values.grad[2].abs().sum() == 0


def test_12_the_reconstruction_is_a_mean_over_pixels_whatever_the_size() -> None:
    term = Reconstruction(1.0, class_means=False)
    for size in (4, 32):
        images, decoded = torch.zeros(2, 1, size, size), torch.full((2, 1, size, size), 0.5)
        run = Pass(images, STEP, STEP, images, images, decoded, (), None, STEP)  # type: ignore[arg-type]
        assert term.loss(run).item() == 0.25


def test_p3_reconstructs_the_mean_of_the_class_in_the_batch() -> None:
    images, targets = random(4, 1, 4, 4), torch.tensor([7, 5, 7, 7])
    means = batch_means(images, targets)
    torch.testing.assert_close(means[0], images[[0, 2, 3]].mean(0))
    assert torch.equal(means[0], means[3])
    torch.testing.assert_close(means[1], images[1])
    assert not math.isclose(float(means[0].sum()), float(images[0].sum()), rel_tol=1e-3)
