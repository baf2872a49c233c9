"""Times alternatives side by side: in turns, so that a noisy machine disturbs all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def side_by_side(alternatives: Mapping[str, Callable[[], object]], turns: int = 7) -> dict[str, float]:
    """Returns the median seconds of each alternative; every turn runs each of them once, after one turn of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for turn in range(turns + 1):
        for name, run in alternatives.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
