import torch

from anamnesis.evaluation.saliency import energy_in_mask, pointing_game


def corner(size: int, pixels: int) -> torch.Tensor:
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[:, :pixels, :pixels] = True
    return mask


def test_an_even_map_has_the_share_of_the_image_that_the_mask_covers():
    assert torch.isclose(energy_in_mask(torch.ones(1, 4, 4), corner(8, 4)), torch.tensor(0.25)).all()


def test_energy_is_the_share_of_the_sum_inside():
    maps = torch.tensor([[[3.0, 1.0], [0.0, 0.0]]])
    assert torch.isclose(energy_in_mask(maps, corner(2, 1)), torch.tensor(0.75)).all()


def test_a_map_is_stretched_to_the_mask():
    maps = torch.zeros(1, 4, 4)
    maps[0, 0, 0] = 1.0
    assert float(energy_in_mask(maps, corner(16, 8))) == 1.0
    assert bool(pointing_game(maps, corner(16, 8)))


def test_each_image_has_its_own_mask():
    maps = torch.zeros(2, 4, 4)
    maps[0, 0, 0] = maps[1, 3, 3] = 2.0
    masks = corner(4, 2).repeat(2, 1, 1)
    assert pointing_game(maps, masks).tolist() == [True, False]
    assert energy_in_mask(maps, masks).tolist() == [1.0, 0.0]


def test_no_evidence_points_nowhere():
    empty = torch.zeros(1, 4, 4)
    everything = torch.ones(1, 4, 4, dtype=torch.bool)
    assert not pointing_game(empty, everything)
    assert float(energy_in_mask(empty, everything)) == 0.0
