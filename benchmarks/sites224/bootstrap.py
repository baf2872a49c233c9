"""Paired bootstrap over runs and patients: each draw takes the same runs and patients for both rows.

Source: two-level paired bootstrap, Davison and Hinkley, Bootstrap Methods and their Application (1997), chapter 3.8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SiteScores:
    """One score of each image of a site.

    Attributes:
        values: [runs, N]; nan where the image does not count.
        groups: [N] the class of each image, where the score is a mean of class means; else all equal.
        patients: [N] number of the patient.
        factors: [runs] on the site's score: 0 where the run's maps are not faithful.
    """

    values: Array
    groups: Array
    patients: Array
    factors: Array

    def means(self, patient_weights: Array) -> Array:
        """Returns [draws, runs], the site's score under weights of its patients [draws, P]; nan without an image."""
        weights, is_counted = patient_weights[:, self.patients], ~np.isnan(self.values)
        values = np.nan_to_num(self.values)
        scores, present = np.zeros((len(weights), len(values))), np.zeros((len(weights), len(values)))
        for group in np.unique(self.groups):
            rows = self.groups == group
            totals = weights[:, rows] @ is_counted[:, rows].T.astype(float)
            sums = weights[:, rows] @ (values[:, rows] * is_counted[:, rows]).T
            scores += np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)
            present += totals > 0
        return np.where(present > 0, scores / np.maximum(present, 1), np.nan) * self.factors

    @property
    def patient_count(self) -> int:
        """Number of patients."""
        return int(self.patients.max()) + 1


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two rows.

    Attributes:
        value: mean over runs and sites.
        low: lower end of its 95 % interval.
        high: upper end.
        draws: [draws], the difference in each draw.
    """

    value: float
    low: float
    high: float
    draws: Array

    def p_above(self, limit: float) -> float:
        """Returns the one-sided p-value of the difference being above ``limit``."""
        return float((1 + np.count_nonzero(self.draws <= limit)) / (1 + len(self.draws)))


def paired_difference(
    first: Mapping[str, SiteScores], second: Mapping[str, SiteScores], draws: int, seed: int = 0
) -> Difference:
    """Returns first minus second, both by site, with the same runs in the same order.

    A site that a run has no score of, as its last one has no retention, does not count in that run.
    """
    rng = np.random.default_rng(seed)
    drawn, exact = [], []
    for site in sorted(first):
        patients = max(first[site].patient_count, second[site].patient_count)
        weights = rng.multinomial(patients, np.full(patients, 1 / patients), draws).astype(float)
        drawn.append(first[site].means(weights) - second[site].means(weights))
        once = np.ones((1, patients))
        exact.append(first[site].means(once) - second[site].means(once))
    by_run: Array = np.nanmean(drawn, axis=0)
    runs = by_run.shape[1]
    run_weights = rng.multinomial(runs, np.full(runs, 1 / runs), draws) / runs
    values = np.round((by_run * run_weights).sum(1), 9)  # a difference of nothing is 0 on every processor
    low, high = np.quantile(values, [0.025, 0.975])
    return Difference(float(np.nanmean(exact, axis=0).mean()), float(low), float(high), values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns the p-values adjusted for all of them (Holm, Scand. J. Stat. 6 (1979) 65)."""
    order, adjusted, largest = np.argsort(p_values), [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted
