"""Class activation maps and their distance. Numbers are those of ``docs/methods/ewc_prototype.md``."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from builders.learning import SPEC
from monai.visualize import GradCAM
from torch import Tensor

from anamnesis.evaluation.saliency import class_evidence
from anamnesis.methods import Branch
from anamnesis.methods.features.saliency_maps import (
    MapDistance,
    MapNormalisation,
    SaliencyTarget,
    activation_maps,
    head_weights,
    map_dispersion,
    map_distance,
)
from anamnesis.methods.features.task_groups import TaskGroups
from anamnesis.networks import AutoEncoder
from anamnesis.records import NetworkSettings

COLUMNS = torch.tensor([0, 2, 1, 2, 0])
EVERY = [(distance, normalisation) for distance in MapDistance for normalisation in MapNormalisation]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def network_of(norm: str = "group") -> AutoEncoder:
    network = AutoEncoder(NetworkSettings(size=(16, 16), options={"width": 8, "norm": norm}), seed=3)
    network.head.grow(3, torch.Generator().manual_seed(1))
    return network.eval()


def groups_of(*numbers: int) -> TaskGroups:
    groups = TaskGroups()
    groups.task_of_class = torch.tensor(numbers)
    return groups


def closed_form_maps(
    network: AutoEncoder, images: Tensor, saliency_target: SaliencyTarget = SaliencyTarget.CLASS
) -> Tensor:
    weights = head_weights(network.head.weight, groups_of(0, 0, 0), saliency_target)
    return activation_maps(network.features(images), weights[COLUMNS[: len(images)]])


@pytest.mark.parametrize(
    ("saliency_target", "competing"), [(SaliencyTarget.CLASS, ()), (SaliencyTarget.CONTRAST, (0, 1, 2))]
)
@pytest.mark.parametrize("norm", ["group", "batch"])
def test_4_the_closed_form_is_the_map_of_reports(
    saliency_target: SaliencyTarget, competing: tuple[int, ...], norm: str
) -> None:
    network, images = network_of(norm), random(5, 1, 16, 16)
    method = SimpleNamespace(answer_from=lambda features: network.classify(features[0]))
    branches = (Branch("network", network.features(images), learns=True),)
    (expected,) = class_evidence(branches, method, COLUMNS, competing)
    assert expected.any()
    torch.testing.assert_close(closed_form_maps(network, images, saliency_target).detach(), expected)


def test_4_it_is_the_grad_cam_of_monai() -> None:
    network, images = network_of(), random(5, 1, 16, 16)
    oracle = GradCAM(network, target_layers="backbone.blocks.14")
    for row, column in enumerate(COLUMNS.tolist()):
        theirs = oracle.compute_map(images[row : row + 1], class_idx=column)[0, 0]
        torch.testing.assert_close(closed_form_maps(network, images)[row].relu(), theirs, rtol=1e-4, atol=1e-6)


def test_4_its_gradients_are_those_of_a_double_backward() -> None:
    network, images, target = network_of(), random(5, 1, 16, 16), random(5, 2, 2, seed=1)

    def twice() -> Tensor:
        maps = network.features(images)
        score = network.classify(maps).gather(1, COLUMNS[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, maps, create_graph=True)
        return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu()

    def gradients(make: Callable[[], Tensor]) -> dict[str, Tensor]:
        network.zero_grad()
        (make() * target).sum().backward()
        return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}

    once, double = gradients(lambda: closed_form_maps(network, images).relu()), gradients(twice)
    assert once.keys() - double.keys() == set()
    assert "head.weight" in once
    for name, value in once.items():
        torch.testing.assert_close(value, double[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_4_a_map_does_not_depend_on_the_other_images(norm: str) -> None:
    network, images = network_of(norm), random(5, 1, 16, 16)
    together = closed_form_maps(network, images)
    torch.testing.assert_close(closed_form_maps(network, images[:1])[0], together[0])


def test_contrast_compares_within_the_task_alone() -> None:
    weight = random(4, 6)
    contrasted = head_weights(weight, groups_of(0, 0, 1, 1), SaliencyTarget.CONTRAST)
    torch.testing.assert_close(contrasted[2], weight[2] - weight[2:].mean(0))
    torch.testing.assert_close(contrasted[0], weight[0] - weight[:2].mean(0))


def test_5_the_distance_is_zero_for_a_proportional_map() -> None:
    maps = random(5, 4, 4)
    assert map_distance(3 * maps, maps, MapDistance.COSINE, MapNormalisation.MASKED) == pytest.approx(0, abs=1e-6)
    assert map_distance(3 * maps, maps, MapDistance.L1, MapNormalisation.SIGNED) == pytest.approx(0, abs=1e-6)
    assert map_distance(3 * maps, maps, MapDistance.RAW, MapNormalisation.MASKED) > 0.1


@pytest.mark.parametrize("normalisation", MapNormalisation)
@pytest.mark.parametrize("distance", [MapDistance.COSINE, MapDistance.L1])
def test_5_it_does_not_change_with_the_scale(distance: MapDistance, normalisation: MapNormalisation) -> None:
    maps, targets = random(5, 4, 4) - 0.3, random(5, 4, 4, seed=1)
    once = map_distance(maps, targets, distance, normalisation)
    torch.testing.assert_close(map_distance(7 * maps, 0.1 * targets, distance, normalisation), once)


@pytest.mark.parametrize(("distance", "normalisation"), EVERY)
def test_5_value_and_gradient_are_finite_where_every_map_is_zero(
    distance: MapDistance, normalisation: MapNormalisation
) -> None:
    maps, targets = torch.zeros(5, 4, 4, requires_grad=True), random(5, 4, 4)
    value = map_distance(maps, targets, distance, normalisation)
    value.backward()
    assert value.isfinite()
    assert maps.grad.abs().max() < 1e6 if normalisation is MapNormalisation.SMOOTH else maps.grad.abs().max() < 1


@pytest.mark.parametrize(("distance", "normalisation"), EVERY)
def test_5_one_faint_map_among_others_does_not_take_over(
    distance: MapDistance, normalisation: MapNormalisation
) -> None:
    """x / max(|x|, eps) would give it a gradient of 1 / eps (trap 4)."""
    maps, targets = random(5, 4, 4), random(5, 4, 4, seed=1)
    maps[2] *= 1e-7
    maps.requires_grad_()
    map_distance(maps, targets, distance, normalisation).backward()
    share = maps.grad.flatten(1).norm(dim=1)
    typical = maps.detach().flatten(1).norm(dim=1).mean()
    assert share[2] <= 200 / typical  # eps is 1 % of the typical norm
    if normalisation is not MapNormalisation.SMOOTH and distance is not MapDistance.RAW:
        assert share[2] == 0


@pytest.mark.parametrize(("distance", "normalisation"), EVERY)
def test_5_cases_without_a_target_map_do_not_count(distance: MapDistance, normalisation: MapNormalisation) -> None:
    maps, targets = random(4, 4, 4), random(4, 4, 4, seed=1)
    targets[1:3] = 0
    maps.requires_grad_()
    value = map_distance(maps, targets, distance, normalisation)
    (gradient,) = torch.autograd.grad(value, maps)
    assert gradient[0].any()
    assert not gradient[1:3].any()


def test_a_map_that_is_not_a_number_gives_no_number() -> None:
    maps = random(4, 4, 4)
    maps[0, 0, 0] = torch.nan
    assert map_distance(maps, random(4, 4, 4), MapDistance.COSINE, MapNormalisation.MASKED).isnan()


def test_11_map_dispersion_is_zero_for_equal_maps_and_not_for_different_ones() -> None:
    same = random(1, 8, 8).expand(6, 8, 8)
    assert map_dispersion(same) == pytest.approx(0, abs=1e-5)
    apart = torch.eye(6).view(6, 2, 3)
    assert map_dispersion(apart) == pytest.approx(1 - 1 / 6)
    assert map_dispersion(torch.zeros(6, 8, 8)).isfinite()


def test_the_decoder_gives_images_of_any_size() -> None:
    for size in ((16, 16), (20, 28), (64, 64)):
        network = AutoEncoder(NetworkSettings(size=size, channels=3, options={"width": 8, "norm": "group"}), seed=0)
        images = network.decode(network.features(random(2, 3, *size)))
        assert images.shape == (2, 3, *size)
        assert 0 <= images.min() <= images.max() <= 1
    assert AutoEncoder(SPEC, seed=0).decode(random(1, 32, 2, 2)).dtype is torch.float32


def test_the_decoder_of_a_wide_network_is_narrow() -> None:
    pytest.importorskip("timm", reason="needs the extra timm")
    spec = NetworkSettings("timm/tf_efficientnet_lite0", channels=3, options={"drop_path": 0.0})
    shapes = [block.weight.shape[:2] for block in AutoEncoder(spec, seed=0).decoder.blocks]
    assert shapes == [(128, 1280), (64, 128), (32, 64), (16, 32), (16, 16)]
