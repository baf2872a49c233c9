"""Paired intervals: the same runs and the same patients are drawn for both methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scoreboard.result import Result

Array = npt.NDArray[Any]
DRAWS = 2000


def paired_difference(
    results: Sequence[Result], others: Sequence[Result], scenario: str, draws: int = DRAWS
) -> tuple[float, float, float] | None:
    """Returns mean and 95 % percentile interval of the difference of final averages, ``results`` minus ``others``.

    Both sides are paired by (seed, order). A draw takes runs with replacement, and patients with replacement within
    each site, the same for both sides and for all runs: the site's accuracy is that of the images of its drawn
    patients. With a single run only patients vary. Source: two-level paired bootstrap, Davison and Hinkley, Bootstrap
    Methods and their Application (1997), chapter 3.8.

    Args:
        results: runs of one row on one sequence.
        others: runs of the row that it is compared with.
        scenario: ``class`` or ``task``.
        draws: how many.
    """
    ours, theirs = ({(r.setting.seed, r.setting.order): r for r in rows} for rows in (results, others))
    runs = sorted(ours.keys() & theirs.keys())
    if not runs:
        return None
    pairs = [(ours[run], theirs[run]) for run in runs]
    rng = np.random.default_rng(0)
    by_site = [_differences(pairs, site, scenario, rng, draws) for site in sorted(pairs[0][0].sites)]
    drawn: Array = np.mean([site[0] for site in by_site], axis=0)
    exact: Array = np.mean([site[1] for site in by_site], axis=0)
    weights = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), draws) / len(runs)
    low, high = np.quantile((drawn * weights).sum(1), [0.025, 0.975])
    return float(exact.mean()), float(low), float(high)


def _differences(
    pairs: Sequence[tuple[Result, Result]], site: str, scenario: str, rng: np.random.Generator, draws: int
) -> tuple[Array, Array]:
    """Returns the difference of a site's accuracy by draw and run, [draws, runs], and as it is, [runs]."""
    images = np.array(pairs[0][0].patients[site]["images"])
    right = np.array([_right(a.patients[site], scenario) - _right(b.patients[site], scenario) for a, b in pairs])
    weights = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), draws)
    return weights @ right.T / (weights @ images)[:, None], right.sum(1) / images.sum()


def _right(patients: Mapping[str, tuple[int, ...]], scenario: str) -> Array:
    return np.array(patients[scenario])
