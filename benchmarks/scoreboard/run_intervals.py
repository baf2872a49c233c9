"""Intervals over runs, for values without patients: they cover other seeds and orders, and not other patients."""

import math
import statistics
from collections.abc import Mapping

from anamnesis.registry.student_t import t_quantile

Interval = tuple[float, float, float]
"""Mean, and low and high end of its 95 % interval."""
RunKey = tuple[int, int]
"""Seed and order."""


def mean_over_runs(values: Mapping[RunKey, float]) -> Interval | None:
    """Returns the mean and its t interval; from minus to plus infinity for one run, none without a run."""
    if not values:
        return None
    mean = statistics.mean(values.values())
    if len(values) == 1:
        return mean, -math.inf, math.inf
    error = statistics.stdev(values.values()) / math.sqrt(len(values))
    half = t_quantile(0.975, len(values) - 1) * error
    return mean, mean - half, mean + half


def difference_over_runs(values: Mapping[RunKey, float], baseline_values: Mapping[RunKey, float]) -> Interval | None:
    """Returns the mean of values minus baseline, paired by seed and order, and its t interval."""
    return mean_over_runs({key: values[key] - baseline_values[key] for key in values.keys() & baseline_values.keys()})
