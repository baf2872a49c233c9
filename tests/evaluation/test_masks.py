"""Scores of masks: overlap and surface distance."""

import itertools

import pytest
import torch
from monai.metrics import compute_dice
from torch.nn.functional import one_hot

from anamnesis.evaluation.masks import dice, surface_distance


def random_masks(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randint(4, shape, generator=generator) for _ in range(2))
    return first, second


def test_dice_agrees_with_monai() -> None:
    prediction, mask = random_masks(6, 9, 7)
    theirs = compute_dice(
        one_hot(prediction, 4).movedim(-1, 1), one_hot(mask, 4).movedim(-1, 1), include_background=False
    )
    assert torch.allclose(dice(prediction, mask, 4), theirs.double(), atol=1e-6)


def test_an_absent_class() -> None:
    empty, marked = torch.zeros(1, 4, 4, dtype=torch.long), torch.ones(1, 4, 4, dtype=torch.long)
    assert dice(empty, empty, 3).tolist() == [[1, 1]]
    assert dice(marked, empty, 3).tolist() == [[0, 1]]
    assert surface_distance(empty, empty, 3).tolist() == [[0, 0]]
    assert surface_distance(marked, empty, 3).tolist() == surface_distance(empty, marked, 3).tolist() == [[100, 0]]


@pytest.mark.parametrize("shape", [(3, 7, 6), (2, 5, 4, 6)])
def test_the_surface_distance_agrees_with_a_loop_over_pixels(shape: tuple[int, ...]) -> None:
    prediction, mask = random_masks(*shape)
    distances = surface_distance(prediction, mask, 4)
    for case, label in itertools.product(range(shape[0]), (1, 2, 3)):
        first, second = (naive_surface(labels[case] == label) for labels in (prediction, mask))
        nearest = [
            min(torch.dist(torch.tensor(point), torch.tensor(other)).item() for other in targets)
            for points, targets in ((first, second), (second, first))
            for point in points
        ]
        assert distances[case, label - 1].item() == pytest.approx(sum(nearest) / len(nearest), abs=1e-5)


def naive_surface(structure: torch.Tensor) -> list[tuple[float, ...]]:
    inside = {tuple(place) for place in structure.nonzero().tolist()}
    return [
        tuple(map(float, place))
        for place in inside
        if any(
            (*place[:axis], place[axis] + step, *place[axis + 1 :]) not in inside
            for axis, step in itertools.product(range(structure.ndim), (-1, 1))
        )
    ]


def test_a_square_that_is_moved_by_two_pixels_is_two_pixels_away_at_most() -> None:
    mask, moved = torch.zeros(1, 20, 20, dtype=torch.long), torch.zeros(1, 20, 20, dtype=torch.long)
    mask[:, 5:12, 5:12], moved[:, 5:12, 7:14] = 1, 1
    distance = surface_distance(moved, mask, 2).item()
    assert 0 < distance <= 2
    moved_further = moved.roll(3, dims=2)
    assert surface_distance(moved_further, mask, 2).item() > distance
    assert surface_distance(mask, mask, 2).item() == 0
