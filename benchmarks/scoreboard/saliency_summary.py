"""Saliency over runs: the retention of earlier sites' maps, its floors and ceiling, and its relation to forgetting."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from anamnesis.evaluation.accuracy_matrix import forgetting_by_task
from anamnesis.evaluation.saliency import map_retention, random_iou, spearman
from benchmarks.scoreboard.packing import unpack
from benchmarks.scoreboard.result import RunResult
from benchmarks.scoreboard.table import MeanDeviation, mean_and_deviation


@dataclass(frozen=True, slots=True)
class SaliencySummary:
    """The retained saliency of a row.

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

    iou: MeanDeviation | None
    ssim: MeanDeviation | None
    forgetting: MeanDeviation | None
    other: float | None
    random: float | None
    correlation: float | None
    focus: dict[str, float]


def summarise_saliency(results: Sequence[RunResult]) -> SaliencySummary:
    """Gathers a row's runs."""
    by_run = [[site for site in result.saliency.values() if site.retention] for result in results]
    site_saliencies = [site for run in by_run for site in run]
    focus_values = [site.focus for site in site_saliencies if site.focus]
    pixels = max((site.pixels for site in site_saliencies), default=0)
    ious = list(retained_iou(results).values())
    return SaliencySummary(
        iou=mean_and_deviation(ious),
        ssim=mean_and_deviation(_mean([site.retention["SSIM"] for site in run]) for run in by_run),
        forgetting=mean_and_deviation(1 - iou for iou in ious),
        other=_mean([site.other["IoU"] for site in site_saliencies if site.other]),
        random=random_iou(pixels) if pixels else None,
        correlation=correlation(drift_pairs(results)),
        focus={
            name: statistics.mean(focus[name] for focus in focus_values)
            for name in (focus_values[0] if focus_values else ())
        },
    )


@dataclass(frozen=True, slots=True)
class DeletionSummary:
    """Deletion by the maps of a row's answers, over the sites of its runs.

    Attributes:
        by_map: mean ``Deletion``.
        by_chance: mean ``DeletionRandom``.
        faithful: number of sites where the maps are faithful.
        sites: number of sites that were measured.
    """

    by_map: float
    by_chance: float
    faithful: int
    sites: int


def summarise_deletion(results: Sequence[RunResult]) -> DeletionSummary | None:
    """Gathers the runs of a row that have it; none where no run has."""
    sites = [site for result in results for site in result.faithfulness.values() if site]
    if not sites:
        return None
    return DeletionSummary(
        statistics.mean(site["Deletion"] for site in sites),
        statistics.mean(site["DeletionRandom"] for site in sites),
        faithful=sum(site.get("Low", 0.0) > 0 for site in sites),
        sites=len(sites),
    )


def retained_iou(results: Sequence[RunResult]) -> dict[tuple[int, int], float]:
    """Returns the mean IoU over old sites by seed and order of a row's runs; without runs that have none."""
    ious = {
        (result.setting.seed, result.setting.order): _mean(
            [site.retention["IoU"] for site in result.saliency.values() if site.retention]
        )
        for result in results
    }
    return {key: iou for key, iou in ious.items() if iou is not None}


def drift_pairs(results: Sequence[RunResult]) -> list[tuple[float, float]]:
    """Returns pairs of 1 - IoU and task-incremental forgetting in points, for every run and old site."""
    pairs = []
    for result in results:
        forgetting = forgetting_by_task(result.matrix(task_incremental=True))
        iou_by_site = {name: site.retention["IoU"] for name, site in result.saliency.items() if site.retention}
        pairs += [(1 - iou_by_site[name], 100 * loss) for name, loss in forgetting.items() if name in iou_by_site]
    return pairs


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Returns Spearman's rank correlation of pairs, or none below four of them."""
    if len(pairs) < 4:
        return None
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    return float(spearman(x[None, None], y[None, None])[0])


def joint_ceiling(joint: Sequence[RunResult]) -> dict[str, float]:
    """Returns mean ``IoU`` and ``SSIM`` between the final maps of two joint networks of other seeds; empty without two.

    Two runs that learned all sites at once, and differ in their random start alone, agree no better than this.
    """
    values_by_metric: dict[str, list[float]] = {}
    for first_result, second_result in combinations(joint, 2):
        if first_result.setting.order != second_result.setting.order:
            continue
        for site in first_result.maps.keys() & second_result.maps.keys():
            for name, metric in map_retention(
                unpack(first_result.maps[site]), unpack(second_result.maps[site])
            ).items():
                values_by_metric.setdefault(name, []).append(float(metric.value))
    return {name: statistics.mean(values) for name, values in sorted(values_by_metric.items())}


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None
