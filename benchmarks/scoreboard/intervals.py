"""Paired bootstrap intervals: each draw takes the same runs and patients for both methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scoreboard.result import RunResult

Array = npt.NDArray[Any]
BOOTSTRAP_DRAWS = 2000


def paired_difference(
    results: Sequence[RunResult], baseline_results: Sequence[RunResult], scenario: str, draws: int = BOOTSTRAP_DRAWS
) -> tuple[float, float, float] | None:
    """Returns mean and 95 % percentile interval of the difference of final averages.

    Both sides are paired by (seed, order). A draw takes runs with replacement, and patients with replacement within
    each site, the same for both sides and for all runs: the site's accuracy is that of the images of its drawn
    patients. With a single run only patients vary. Source: two-level paired bootstrap, Davison and Hinkley, Bootstrap
    Methods and their Application (1997), chapter 3.8.

    Args:
        results: runs of one row on one sequence.
        baseline_results: runs of the row to subtract.
        scenario: ``class`` or ``task``.
        draws: number of bootstrap draws.
    """
    runs_by_key, baseline_runs_by_key = (
        {(result.setting.seed, result.setting.order): result for result in rows} for rows in (results, baseline_results)
    )
    runs = sorted(runs_by_key.keys() & baseline_runs_by_key.keys())
    if not runs:
        return None
    pairs = [(runs_by_key[run], baseline_runs_by_key[run]) for run in runs]
    rng = np.random.default_rng(0)
    by_site = [
        _site_differences(pairs, site, scenario=scenario, rng=rng, draws=draws) for site in sorted(pairs[0][0].sites)
    ]
    resampled: Array = np.mean([site[0] for site in by_site], axis=0)
    exact: Array = np.mean([site[1] for site in by_site], axis=0)
    weights = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), draws) / len(runs)
    low, high = np.quantile((resampled * weights).sum(1), [0.025, 0.975])
    return float(exact.mean()), float(low), float(high)


def _site_differences(
    pairs: Sequence[tuple[RunResult, RunResult]], site: str, scenario: str, rng: np.random.Generator, draws: int
) -> tuple[Array, Array]:
    """Returns the difference of a site's accuracy by draw and run, [draws, runs], and as it is, [runs]."""
    images = np.array(pairs[0][0].patients[site]["images"])
    correct_differences = np.array(
        [
            _correct_counts(first.patients[site], scenario) - _correct_counts(second.patients[site], scenario)
            for first, second in pairs
        ]
    )
    weights = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), draws)
    return weights @ correct_differences.T / (weights @ images)[:, None], correct_differences.sum(1) / images.sum()


def _correct_counts(patients: Mapping[str, tuple[int, ...]], scenario: str) -> Array:
    return np.array(patients[scenario])
