"""Latent prototypes and the reconstruction. Numbers are those of ``docs/methods/ewc_prototype.md``."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from anamnesis.methods.features.latent_prototypes import (
    LatentPrototypes,
    PrototypeAssignment,
    squared_distances,
)
from anamnesis.methods.loss_term import ForwardOutput
from anamnesis.methods.losses.prototype_distance import PrototypeNearSampleLoss, SampleNearPrototypeLoss
from anamnesis.methods.losses.reconstruction import ReconstructionLoss, class_means_of_batch
from anamnesis.methods.stage import TrainingStep

STEP = TrainingStep("train", 0, step_index=0, total_steps=1, learning_rate=0.0)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def forward_output_of(maps: Tensor, targets: list[int]) -> ForwardOutput:
    columns = torch.tensor(targets)
    images = random(len(targets), 1, 4, 4)
    return ForwardOutput(
        images=images,
        targets=columns,
        sample_indices=columns,
        feature_maps=maps,
        logits=maps.mean((2, 3)),
        reconstruction=images,
        class_indices=(0, 1, 2),
        network=None,  # type: ignore[arg-type]
        step=STEP,
    )


def latent_of(values: Tensor, columns: list[int]) -> LatentPrototypes:
    latent = LatentPrototypes()
    latent.values, latent.class_indices = nn.Parameter(values), torch.tensor(columns)
    return latent


@pytest.mark.parametrize("assignment", PrototypeAssignment)
def test_6_both_are_zero_where_prototypes_are_encodings(assignment: PrototypeAssignment) -> None:
    maps = random(3, 6, 2, 2)
    latent = latent_of(maps.clone(), [0, 1, 2])
    for kind in (PrototypeNearSampleLoss, SampleNearPrototypeLoss):
        assert kind(1.0, latent, assignment).loss(forward_output_of(maps, [0, 1, 2])).item() == pytest.approx(
            0, abs=1e-6
        )


def test_6_they_are_the_formulas() -> None:
    maps, values, targets = random(5, 6, 2, 2), random(3, 6, 2, 2, seed=1), [0, 1, 1, 0, 1]
    latent, forward_output = latent_of(values, [0, 1, 2]), forward_output_of(maps, targets)
    distances = [[float((x - mu).square().mean()) for mu in values] for x in maps]
    nearest = {
        PrototypeNearSampleLoss: sum(min(distances[i][k] for i in range(5)) for k in range(3)) / 3,
        SampleNearPrototypeLoss: sum(min(row) for row in distances) / 5,
    }
    own_class = {  # the third prototype has no image in the batch
        PrototypeNearSampleLoss: sum(min(distances[i][k] for i in range(5) if targets[i] == k) for k in range(2)) / 2,
        SampleNearPrototypeLoss: sum(distances[i][targets[i]] for i in range(5)) / 5,
    }
    for assignment, expected in ((PrototypeAssignment.NEAREST, nearest), (PrototypeAssignment.OWN, own_class)):
        for kind, value in expected.items():
            assert kind(1.0, latent, assignment).loss(forward_output).item() == pytest.approx(value, rel=1e-4)


def test_6_the_expanded_square_is_the_distance_and_never_negative() -> None:
    first, second = random(7, 50), random(4, 50, seed=1)
    expected = torch.cdist(first, second).square()
    torch.testing.assert_close(squared_distances(first, second), expected, rtol=1e-4, atol=1e-4)
    near = 1e3 + first
    assert squared_distances(near, near).min() >= 0


def test_a_prototype_without_an_image_gets_no_gradient() -> None:
    latent, forward_output = (
        latent_of(random(3, 6, 2, 2, seed=1), [0, 1, 2]),
        forward_output_of(random(4, 6, 2, 2), [0, 1, 1, 0]),
    )
    total = sum(
        kind(1.0, latent, PrototypeAssignment.OWN).loss(forward_output)
        for kind in (PrototypeNearSampleLoss, SampleNearPrototypeLoss)
    )
    total.backward()
    assert latent.values.grad[:2].abs().sum() > 0
    assert latent.values.grad[2].abs().sum() == 0


def test_12_the_reconstruction_is_a_mean_over_pixels_whatever_the_size() -> None:
    term = ReconstructionLoss(1.0, use_class_means=False)
    for size in (4, 32):
        images, decoded = torch.zeros(2, 1, size, size), torch.full((2, 1, size, size), 0.5)
        forward_output = replace(forward_output_of(random(2, 6, 2, 2), [0, 1]), images=images, reconstruction=decoded)
        assert term.loss(forward_output).item() == 0.25


def test_p3_reconstructs_the_mean_of_the_class_in_the_batch() -> None:
    images, targets = random(4, 1, 4, 4), torch.tensor([7, 5, 7, 7])
    means = class_means_of_batch(images, targets)
    torch.testing.assert_close(means[0], images[[0, 2, 3]].mean(0))
    assert torch.equal(means[0], means[3])
    torch.testing.assert_close(means[1], images[1])
    assert not math.isclose(float(means[0].sum()), float(images[0].sum()), rel_tol=1e-3)
