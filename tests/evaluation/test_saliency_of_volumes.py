"""Maps of volumes and of signals: the same functions for any number of spatial axes."""

from collections.abc import Sequence

import pytest
import torch
from monai.metrics.regression import compute_ssim_and_cs
from torch import Tensor, nn

from anamnesis.evaluation import saliency
from anamnesis.evaluation.saliency.faithfulness import move_maps
from anamnesis.methods import Branch
from anamnesis.methods.features.saliency_maps import activation_maps
from anamnesis.updates.saliency_pictures import salient_plane


class Ball(nn.Module):
    """Answers by the brightness of a corner."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.corner = (slice(None), 0, *[slice(0, 4)] * axes)

    @property
    def network(self) -> nn.Module:
        return self

    def explained_features(self, images: Tensor) -> tuple[Branch, ...]:
        return (Branch("network", images, learns=True),)

    def answer_from(self, features: Sequence[Tensor]) -> Tensor:
        score = features[0][self.corner].flatten(1).mean(1) * 8 - 2
        return torch.stack([-score, score], 1)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_maps_of_a_sound_model_are_faithful_and_moved_ones_are_not(axes: int) -> None:
    generator, network = torch.Generator().manual_seed(0), Ball(axes)
    images = torch.rand(20, 1, *[8] * axes, generator=generator) * 0.1
    images[network.corner] += 0.9
    ones, patients = torch.ones(20, dtype=torch.long), [str(number) for number in range(20)]
    maps = saliency.explain_classes(network, images, ones, (0, 1))
    assert maps is not None
    assert maps.whole.shape == (20, *[8] * axes)
    for tested_maps, is_faithful in (
        (maps.whole, True),
        (maps.whole.roll([4] * axes, tuple(range(1, axes + 1))), False),
    ):
        metrics = saliency.faithfulness(
            lambda frames: network.answer_from([frames]).softmax(1), images, ones, tested_maps, patients
        )
        assert saliency.is_faithful(metrics) == is_faithful


def test_the_closed_form_is_the_gradient_of_the_answer() -> None:
    """On a mean over all places and a linear head."""
    maps = torch.rand(2, 4, 3, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
    score = (maps.flatten(2).mean(2) * weights).sum()
    (gradient,) = torch.autograd.grad(score, maps)
    torch.testing.assert_close(activation_maps(maps, weights), (gradient * maps).sum(1))


def test_ssim_of_volumes_agrees_with_monai() -> None:
    before, after = (torch.rand(3, 8, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    before, after = (maps / maps.amax((1, 2, 3), keepdim=True) for maps in (before, after))
    theirs, _ = compute_ssim_and_cs(
        before[:, None], after[:, None], spatial_dims=3, kernel_size=(7,) * 3, kernel_sigma=(1.5,) * 3, data_range=1
    )
    assert torch.allclose(saliency.ssim(before, after), theirs.mean((1, 2, 3, 4)), atol=1e-4)


def test_maps_are_moved_as_a_whole() -> None:
    maps = torch.rand(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    moved = move_maps(maps, torch.Generator().manual_seed(1))
    assert not torch.equal(moved, maps)
    for before, after in zip(maps, moved, strict=True):
        place = (after == before[0, 0, 0]).nonzero()[0].tolist()
        assert torch.equal(after, before.roll(place, (0, 1, 2)))


def test_energy_is_the_share_of_the_sum_inside_a_volume() -> None:
    maps, mask = torch.zeros(1, 4, 4, 4), torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    maps[0, 0, 0, 0], mask[0, :4, :4, :4] = 1.0, True
    assert float(saliency.energy_in_mask(maps, mask)) == 1.0
    assert bool(saliency.pointing_game(maps, mask))
    assert float(saliency.energy_in_mask(maps, mask.flip(1))) == 0.0


def test_the_picture_of_a_volume_is_its_most_salient_plane() -> None:
    volume = torch.arange(8.0)[None, :, None, None].expand(1, 8, 6, 6)
    maps = torch.zeros(4, 3, 3)
    maps[2] = 1.0
    image, plane = salient_plane(volume, [maps])
    assert image.shape == (1, 6, 6)
    assert image.unique().tolist() == [5.0]  # planes 4 and 5 of 8 are plane 2 of 4
    assert torch.equal(plane, torch.ones(3, 3))
    flat_image, flat_map = salient_plane(volume[:, 0], [maps[2]])
    assert flat_image.shape == (1, 6, 6)
    assert torch.equal(flat_map, maps[2])
