"""Intervals and ranks for all metrics."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

import torch
from torch import Tensor

from anamnesis.records import Metric

NORMAL_QUANTILE = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

_MAXIMUM_DRAWS = 4_000_000
"""Indices per draw of the bootstrap: 32 MB."""


def make_metric(value: float, n: int, interval: tuple[float, float] | None = None) -> Metric:
    """Returns ``value`` and its interval as exact decimals of six places."""
    low, high = (None, None) if interval is None else (_six_places(end) for end in interval)
    return Metric(_six_places(value), n, low, high)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Returns the 95 % score interval of a proportion.

    Unlike the normal approximation it has a positive width at 0 and at ``n`` successes. Source: Wilson, JASA 22 (1927)
    209.
    """
    share = successes / n
    centre = (share + NORMAL_QUANTILE**2 / (2 * n)) / (1 + NORMAL_QUANTILE**2 / n)
    half = (
        NORMAL_QUANTILE
        / (1 + NORMAL_QUANTILE**2 / n)
        * math.sqrt(share * (1 - share) / n + NORMAL_QUANTILE**2 / (4 * n**2))
    )
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def wilson_mean(successes: Sequence[int], sizes: Sequence[int]) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of independent proportions, such as balanced accuracy.

    Each proportion's Wilson interval, combined by the method of variance estimates recovery:
    mean - sqrt(sum (p - low)^2) / K and mean + sqrt(sum (high - p)^2) / K. Source: Zou and Donner, Stat. Med. 27
    (2008) 1693.
    """
    shares = [k / n for k, n in zip(successes, sizes, strict=True)]
    ends = [wilson(k, n) for k, n in zip(successes, sizes, strict=True)]
    mean = sum(shares) / len(shares)
    below = math.hypot(*(p - low for p, (low, _) in zip(shares, ends, strict=True))) / len(shares)
    above = math.hypot(*(high - p for p, (_, high) in zip(shares, ends, strict=True))) / len(shares)
    return max(0.0, mean - below), min(1.0, mean + above)


def auroc_interval(auroc: float, positives: int, negatives: int) -> tuple[float, float]:
    """Returns the 95 % interval of an area under the ROC curve.

    All theta with |auroc - theta| <= z sqrt(V(theta)), where V(theta) = theta (1 - theta)
    (1 + N ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m n) and N = (m + n) / 2 - 1: the variance of Hanley
    and McNeil (Radiology 143 (1982) 29), inverted as Newcombe's method 5 (Stat. Med. 25 (2006) 559). Its width is
    positive at an area of 1, where DeLong's interval and the bootstrap's have none.
    """

    def excess(theta: float) -> float:
        variance_factor = 1 + ((positives + negatives) / 2 - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(auroc - theta) - NORMAL_QUANTILE * math.sqrt(
            theta * (1 - theta) * variance_factor / (positives * negatives)
        )

    return _boundary(excess, 0.0, auroc), _boundary(excess, 1.0, auroc)


def bootstrap(values: Tensor, generator: torch.Generator, resamples: int = 1000) -> list[tuple[float, float]]:
    """Returns 95 % percentile intervals of the means of the columns of ``values``, all from the same resamples.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Args:
        values: [N, M], one row per case.
        generator: of the draws, on the CPU.
        resamples: number of resamples.
    """
    values, n = values.double().cpu(), len(values)
    chunk, means = max(1, _MAXIMUM_DRAWS // n), []
    for start in range(0, resamples, chunk):
        size = (min(chunk, resamples - start), n)
        counts = torch.zeros(size, dtype=torch.float64)
        draws = torch.randint(n, size, generator=generator)
        means.append(counts.scatter_add_(1, draws, torch.ones(size, dtype=torch.float64)) @ values / n)
    ends = torch.cat(means).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    return [(float(low), float(high)) for low, high in ends.T]


def mean_metrics(values: dict[str, Tensor], generator: torch.Generator) -> dict[str, Metric]:
    """Returns the mean of each [N] tensor with its bootstrap interval (none for a single case)."""
    table = torch.stack([column.double().cpu() for column in values.values()], dim=1)
    n = len(table)
    intervals = bootstrap(table, generator) if n > 1 else [None] * len(values)
    means = table.mean(0).tolist()
    return {name: make_metric(mean, n, ends) for name, mean, ends in zip(values, means, intervals, strict=True)}


def average_ranks(values: Tensor) -> Tensor:
    """Returns the ranks 1..N along the last axis; equal values get their mean rank."""
    values = values.contiguous()
    ordered = values.sort(-1).values
    below = torch.searchsorted(ordered, values, right=False)
    up_to = torch.searchsorted(ordered, values, right=True)
    return (below + up_to + 1).double() / 2


def _six_places(value: float) -> Decimal:
    return Decimal(f"{value:.6f}") + 0  # + 0 turns -0.000000 into 0.000000


def _boundary(excess: Callable[[float], float], outside: float, inside: float) -> float:
    """Returns where ``excess`` changes its sign between a point outside the interval and one inside, by bisection."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if excess(middle) > 0:
            outside = middle
        else:
            inside = middle
    return inside
