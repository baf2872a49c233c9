import torch

from benchmarks.scoreboard.packing import pack, unpack
from benchmarks.scoreboard.result import RunSetting
from benchmarks.scoreboard.saliency_summary import correlation, summarise_saliency


def test_maps_come_back_as_they_went():
    maps = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
    back = unpack(pack(maps))
    peak = maps.flatten(1).amax(1)[:, None, None]
    assert float((back - maps / peak).abs().max()) <= 0.5 / 255 + 1e-6
    assert not unpack(pack(torch.zeros(1, 4, 4))).any()


def test_saliency_is_gathered_over_runs(make_result):
    runs = [
        make_result(RunSetting("modality", "finetune", seed=seed), 20, iou=iou) for seed, iou in enumerate((0.4, 0.6))
    ]
    look = summarise_saliency(runs)
    assert look.iou is not None
    assert look.forgetting is not None
    assert abs(look.iou.mean - 0.5) < 1e-9
    assert abs(look.forgetting.mean - 0.5) < 1e-9
    assert 0.1 < look.random < 0.13
    assert look.correlation is None  # two pairs say nothing


def test_drift_that_goes_with_forgetting_correlates():
    assert correlation([(0.1, 1.0), (0.2, 2.0), (0.4, 9.0), (0.8, 30.0)]) == 1.0
    assert correlation([(0.1, 9.0), (0.2, 5.0), (0.4, 2.0), (0.8, 1.0)]) == -1.0
