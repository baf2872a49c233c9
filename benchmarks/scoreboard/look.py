"""Saliency over runs: what is kept of an old site's maps, between its floors and its ceiling, and beside forgetting."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from anamnesis.evaluation.accuracy_matrix import forgetting_by_task
from anamnesis.evaluation.saliency import random_iou, retention, spearman
from benchmarks.scoreboard.packing import unpack
from benchmarks.scoreboard.result import Result
from benchmarks.scoreboard.table import Spread, spread


@dataclass(frozen=True, slots=True)
class Look:
    """What a row keeps of where it looked.

    Attributes:
        iou: of the most salient fifth, after own update and after the last.
        ssim: of the maps.
        forgetting: mean of 1 - IoU.
        other: IoU of an image's map with that of another image of its class: the floor of a map of the class alone.
        random: IoU of random maps of this size.
        correlation: Spearman's between the drift of the maps (1 - IoU) and task-incremental forgetting, over sites and
            runs; none below four pairs.
        focus: by name, where there are masks: energy in the tumour and pointing game, own and last.
    """

    iou: Spread | None
    ssim: Spread | None
    forgetting: Spread | None
    other: float | None
    random: float | None
    correlation: float | None
    focus: dict[str, float]


def look_of(results: Sequence[Result]) -> Look:
    """Gathers a row's runs."""
    by_run = [[site for site in result.saliency.values() if site.kept] for result in results]
    seen = [site for run in by_run for site in run]
    focused = [site.focus for site in seen if site.focus]
    pixels = max((site.pixels for site in seen), default=0)
    ious = [_mean([site.kept["IoU"] for site in run]) for run in by_run]
    return Look(
        iou=spread(ious),
        ssim=spread(_mean([site.kept["SSIM"] for site in run]) for run in by_run),
        forgetting=spread(None if iou is None else 1 - iou for iou in ious),
        other=_mean([site.other["IoU"] for site in seen if site.other]),
        random=random_iou(pixels) if pixels else None,
        correlation=correlation(drifts(results)),
        focus={name: statistics.mean(each[name] for each in focused) for name in (focused[0] if focused else ())},
    )


def drifts(results: Sequence[Result]) -> list[tuple[float, float]]:
    """Returns pairs of 1 - IoU and task-incremental forgetting in points, for every run and old site."""
    pairs = []
    for result in results:
        lost = forgetting_by_task(result.matrix(task_incremental=True))
        kept = {name: site.kept["IoU"] for name, site in result.saliency.items() if site.kept}
        pairs += [(1 - kept[name], 100 * loss) for name, loss in lost.items() if name in kept]
    return pairs


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Returns Spearman's rank correlation of pairs, or none below four of them."""
    if len(pairs) < 4:
        return None
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    return float(spearman(x[None, None], y[None, None])[0])


def ceiling(joint: Sequence[Result]) -> dict[str, float]:
    """Returns mean ``IoU`` and ``SSIM`` between the final maps of two joint networks of other seeds; empty without two.

    Two runs that learned all sites at once, and differ in their random start alone, agree no better than this.
    """
    found: dict[str, list[float]] = {}
    for first, second in combinations(joint, 2):
        if first.setting.order != second.setting.order:
            continue
        for site in first.maps.keys() & second.maps.keys():
            for name, metric in retention(unpack(first.maps[site]), unpack(second.maps[site])).items():
                found.setdefault(name, []).append(float(metric.value))
    return {name: statistics.mean(values) for name, values in sorted(found.items())}


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None
