"""Fast feature maps are those of the network, whatever weights it gets, and equal for any number of workers."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from anamnesis.networks import Levels, build_backbone
from anamnesis.networks.backbone import Backbone
from anamnesis.networks.fast_inference import IMAGES_PER_PASS, FastInference, fold_batch_norms
from anamnesis.records import NetworkSettings

BATCH_NORM = NetworkSettings(size=(16, 16), options={"width": 8, "norm": "batch"})
GROUP_NORM = NetworkSettings(size=(16, 16), options={"width": 8})
IMAGES = torch.rand(3 * IMAGES_PER_PASS + 1, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def trained(settings: NetworkSettings, seed: int = 0) -> Backbone:
    """Returns a backbone whose statistics and scales are not those of a new one."""
    backbone, generator = build_backbone(settings, seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*backbone.buffers(), *backbone.parameters()):
            if value.is_floating_point() and value.dim() == 1:
                value.add_(0.2 * torch.rand(value.shape, generator=generator))
    return backbone.eval().requires_grad_(False)


def norm_count(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("settings", [BATCH_NORM, GROUP_NORM], ids=["batch", "group"])
def test_the_maps_are_those_of_the_network(settings: NetworkSettings) -> None:
    backbone = trained(settings)
    torch.testing.assert_close(FastInference(Levels(backbone))(IMAGES)[0], backbone(IMAGES), rtol=1e-4, atol=1e-5)


def test_norms_are_folded_and_the_network_stays_as_it_is() -> None:
    backbone = trained(BATCH_NORM)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    folded = fold_batch_norms(backbone, IMAGES[:1])
    assert (norm_count(backbone), norm_count(folded)) == (4, 0)
    assert backbone.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_norms_with_activations_of_timm_are_folded() -> None:
    pytest.importorskip("timm", reason="the extra timm is not installed")
    backbone = trained(NetworkSettings("timm/tf_efficientnet_lite0", channels=3, size=(32, 32)))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert norm_count(backbone) > norm_count(fold_batch_norms(backbone, images[:1])) == 0
    maps = backbone(images)
    torch.testing.assert_close(
        FastInference(Levels(backbone))(images)[0], maps, rtol=1e-3, atol=1e-4 * float(maps.abs().max())
    )


def test_new_weights_count_however_they_come() -> None:
    backbone, other = trained(BATCH_NORM), trained(BATCH_NORM, seed=1)
    fast = FastInference(Levels(backbone))
    first_maps = fast(IMAGES)[0]
    backbone.load_state_dict(other.state_dict())
    torch.testing.assert_close(fast(IMAGES)[0], other(IMAGES), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(fast(IMAGES)[0], first_maps, atol=1e-3)
    with torch.no_grad():
        next(backbone.parameters()).mul_(2)
    torch.testing.assert_close(fast(IMAGES)[0], backbone(IMAGES), rtol=1e-4, atol=1e-5)


def test_the_weights_are_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folds: list[nn.Module] = []

    def count_folds(network: nn.Module, example: Tensor) -> nn.Module:
        folds.append(network)
        return fold_batch_norms(network, example)

    monkeypatch.setattr("anamnesis.networks.fast_inference.fold_batch_norms", count_folds)
    backbone = trained(BATCH_NORM)
    fast = FastInference(Levels(backbone))
    for _ in range(3):
        fast(IMAGES)
    assert len(folds) == 1


def test_workers_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, maps = FastInference(Levels(trained(BATCH_NORM))), {}
    for workers in (1, 2):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, count=workers: set(range(count)), raising=False)
        fast._workers = workers
        (maps[workers],) = fast(IMAGES)
    assert torch.equal(maps[1], maps[2])


def test_workers_are_chosen_by_time_and_the_maps_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    backbone = trained(BATCH_NORM)
    for slow_worker, workers in ((False, 2), (True, 1)):
        ticks = iter([0.0, 1.0, 1.0, 1.5 if not slow_worker else 4.0])
        monkeypatch.setattr("time.perf_counter", lambda ticks=ticks: next(ticks))
        fast = FastInference(Levels(backbone))
        torch.testing.assert_close(fast(IMAGES)[0], backbone(IMAGES), rtol=1e-4, atol=1e-5)
        assert fast._workers == workers


class _Impostor(nn.Module):
    """A network whose convolution is read twice: by the norm, and beside it."""

    def __init__(self, layer: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.convolution, self.norm = layer(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.convolution(images)
        return self.norm(maps) + maps


def test_a_network_that_reads_a_convolution_twice_is_left_alone() -> None:
    network = _Impostor(nn.Conv2d).eval()
    with torch.no_grad():
        network.norm.running_mean.add_(1)
    assert fold_batch_norms(network, IMAGES[:1]) is network
    assert norm_count(fold_batch_norms(nn.Sequential(*copy.deepcopy(network).children()).eval(), IMAGES[:1])) == 0


def test_norms_of_volumes_are_folded() -> None:
    network, volumes = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU()).eval(), torch.rand(2, 1, 6, 6, 6)
    with torch.no_grad():
        network[1].running_mean.add_(1)
        folded = fold_batch_norms(network, volumes[:1])
        assert isinstance(folded[1], nn.Identity)
        torch.testing.assert_close(folded(volumes), network(volumes), rtol=1e-4, atol=1e-5)
