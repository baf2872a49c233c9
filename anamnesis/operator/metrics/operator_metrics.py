"""How the operator's own process is."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector

from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.load_files import KINDS
from anamnesis.operator.metrics.definitions import (
    BUILD_INFO,
    LEADER,
    QUEUE_DEPTH,
    RECONCILE_DURATION,
    START_TIME,
    UNREADABLE_RESOURCES,
    WATCH_AGE,
    MetricDefinition,
)
from anamnesis.operator.metrics.exposition import render_exposition
from anamnesis.operator.metrics.resource_collector import ResourceCollector

DURATION_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class OperatorMetrics:
    """All that ``/metrics`` shows; the controller tells it what happens. Every call is safe from any thread.

    Args:
        resources: returns all resources of the four kinds, as the operator knows them now.
        version: of the operator.
        monotonic: a clock that never goes back, in seconds.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        resources: Callable[[], Iterable[Resource]],
        version: str,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry, self._monotonic, self._is_leader = CollectorRegistry(), monotonic, False
        self._reconcile_histogram = Histogram(
            RECONCILE_DURATION.name,
            RECONCILE_DURATION.help_text,
            RECONCILE_DURATION.labels,
            buckets=DURATION_BUCKETS,
            registry=self._registry,
        )
        self._depth_gauge, self._watch_age_gauge, self._leader_gauge = map(
            self._make_gauge, (QUEUE_DEPTH, WATCH_AGE, LEADER)
        )
        self._unreadable_gauge = self._make_gauge(UNREADABLE_RESOURCES)
        self._make_gauge(BUILD_INFO).labels(version).set(1)
        self._make_gauge(START_TIME).set(clock())
        ProcessCollector(registry=self._registry)
        self._resource_collector = ResourceCollector(resources, lambda: self._is_leader)
        for kind in KINDS:  # a watch that never comes up is silent from now on
            self.record_watch_alive(kind)

    def record_reconcile(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        """Counts one resource that was, or was not, brought in order."""
        self._reconcile_histogram.labels(kind, result).observe(seconds)

    def set_queue_depth(self, depth: int) -> None:
        """Tells how many resources wait."""
        self._depth_gauge.set(depth)

    def set_unreadable_counts(self, counts: Mapping[str, int]) -> None:
        """Tells how many resources of each kind cannot be read."""
        for kind, count in counts.items():
            self._unreadable_gauge.labels(kind).set(count)

    def record_watch_alive(self, kind: str) -> None:
        """Tells that the watch of a kind is alive: it brought an event or a bookmark, or was opened anew."""
        alive_at = self._monotonic()
        self._watch_age_gauge.labels(kind).set_function(lambda: self._monotonic() - alive_at)

    def set_leading(self, is_leader: bool) -> None:
        """Tells whether this replica leads; only then it exports what resources say."""
        self._is_leader = is_leader
        self._leader_gauge.set(is_leader)

    def collect(self) -> bytes:
        """Returns the answer to a scrape, as ``CONTENT_TYPE``."""
        return render_exposition(self._resource_collector, self._registry)

    def _make_gauge(self, definition: MetricDefinition) -> Gauge:
        return Gauge(definition.name, definition.help_text, definition.labels, registry=self._registry)
