"""Metrics of the operator's own process."""

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
from anamnesis.operator.metrics.resource_collector import MODELS_WITH_ALL_SERIES, ResourceCollector

DURATION_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class OperatorMetrics:
    """All metrics at ``/metrics``; implements ``runtime.process.Observer``. Every call is safe from any thread.

    Args:
        resources: returns the latest state of all resources of the four kinds.
        version: version of the operator.
        models_with_all_series: see ``ResourceCollector``.
        monotonic: returns seconds that never go back.
        clock: returns seconds since 1970.
    """

    def __init__(
        self,
        resources: Callable[[], Iterable[Resource]],
        version: str,
        models_with_all_series: int = MODELS_WITH_ALL_SERIES,
        *,
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
        self._resource_collector = ResourceCollector(resources, lambda: self._is_leader, models_with_all_series)
        for kind in KINDS:  # the age of a watch that never starts counts from here
            self.record_watch_alive(kind)

    def record_reconcile(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        """Records one reconciled resource, its result and its duration."""
        self._reconcile_histogram.labels(kind, result).observe(seconds)

    def set_queue_depth(self, depth: int) -> None:
        """Records the number of resources that wait."""
        self._depth_gauge.set(depth)

    def set_unreadable_counts(self, counts: Mapping[str, int]) -> None:
        """Records the number of unreadable resources of each kind."""
        for kind, count in counts.items():
            self._unreadable_gauge.labels(kind).set(count)

    def record_watch_alive(self, kind: str) -> None:
        """Records that the watches of a kind are alive: a listing had no change that they missed."""
        alive_at = self._monotonic()
        self._watch_age_gauge.labels(kind).set_function(lambda: self._monotonic() - alive_at)

    def set_leading(self, is_leader: bool) -> None:
        """Records whether this replica leads; only the leader exports the metrics of resources."""
        self._is_leader = is_leader
        self._leader_gauge.set(is_leader)

    def collect(self) -> bytes:
        """Returns the metrics for a scrape."""
        return self._resource_collector.render() + render_exposition(self._registry)

    def _make_gauge(self, definition: MetricDefinition) -> Gauge:
        return Gauge(definition.name, definition.help_text, definition.labels, registry=self._registry)
