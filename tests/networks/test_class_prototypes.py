"""Simplex frames: equal angles, tight, as many as fit; a class keeps its vertex whatever happens to the others."""

import pytest
import torch

from anamnesis.networks.class_prototypes import ClassPrototypes, simplex_frame
from anamnesis.records import InputError


@pytest.mark.parametrize(("count", "dimension"), [(2, 1), (4, 9), (9, 9), (10, 9), (129, 128)])
def test_all_angles_are_equal_and_the_frame_is_tight(count: int, dimension: int) -> None:
    frame = simplex_frame(count, dimension, torch.Generator().manual_seed(0))
    gram = frame @ frame.T
    expected = torch.full((count, count), -1 / (count - 1), dtype=torch.float64).fill_diagonal_(1.0)
    torch.testing.assert_close(gram, expected, rtol=0, atol=1e-12)
    assert frame.sum(0).abs().max() < 1e-12
    assert torch.linalg.matrix_rank(frame) == count - 1
    torch.testing.assert_close(gram @ gram, count / (count - 1) * gram, rtol=0, atol=1e-12)


def test_the_seed_turns_the_frame() -> None:
    first, same, other = (simplex_frame(4, 9, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_frame_that_cannot_exist_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=rf"expected 2 to 129 prototypes in 128 dimensions.*, found {count}; set"):
        simplex_frame(count, 128, torch.Generator())


def test_a_new_class_takes_a_free_vertex_and_moves_no_other() -> None:
    prototypes = ClassPrototypes(5, 4, seed=0)
    prototypes.grow(3)
    assert prototypes.vertex_of_class.tolist() == [0, 1, 2]
    prototypes.keep((0, 2))
    prototypes.grow(2)
    assert prototypes.vertex_of_class.tolist() == [0, 2]
    prototypes.grow(5)
    assert prototypes.vertex_of_class.tolist() == [0, 2, 1, 3, 4]
    assert prototypes.select_vertices((1, 4)).tolist() == [False, False, True, False, True]
    with pytest.raises(InputError, match="expected one for each of 6 classes, found 5"):
        prototypes.grow(6)
    loaded = ClassPrototypes(5, 4, seed=1)
    loaded.resize(5)
    loaded.load_state_dict(prototypes.state_dict())
    assert torch.equal(loaded.frame, prototypes.frame)
    assert torch.equal(loaded.vertex_of_class, prototypes.vertex_of_class)
    assert not list(prototypes.parameters())
