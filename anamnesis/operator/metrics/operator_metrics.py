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
    RECONCILE,
    UNREAD,
    UP_SINCE,
    WATCH_AGE,
    Definition,
)
from anamnesis.operator.metrics.exposition import exposition
from anamnesis.operator.metrics.resource_collector import ResourceCollector

BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


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
        self._registry, self._monotonic, self._leads = CollectorRegistry(), monotonic, False
        self._reconciles = Histogram(
            RECONCILE.name, RECONCILE.meaning, RECONCILE.labels, buckets=BUCKETS, registry=self._registry
        )
        self._depth, self._watches, self._leader = map(self._gauge, (QUEUE_DEPTH, WATCH_AGE, LEADER))
        self._unread = self._gauge(UNREAD)
        self._gauge(BUILD_INFO).labels(version).set(1)
        self._gauge(UP_SINCE).set(clock())
        ProcessCollector(registry=self._registry)
        self._resources = ResourceCollector(resources, lambda: self._leads)
        for kind in KINDS:  # a watch that never comes up is silent from now on
            self.watch_heard(kind)

    def reconciled(self, kind: str, result: Literal["success", "error"], seconds: float) -> None:
        """Counts one resource that was, or was not, brought in order."""
        self._reconciles.labels(kind, result).observe(seconds)

    def queue_depth(self, depth: int) -> None:
        """Tells how many resources wait."""
        self._depth.set(depth)

    def unread(self, counts: Mapping[str, int]) -> None:
        """Tells how many resources of each kind cannot be read."""
        for kind, count in counts.items():
            self._unread.labels(kind).set(count)

    def watch_heard(self, kind: str) -> None:
        """Tells that the watch of a kind is alive: it brought an event or a bookmark, or was opened anew."""
        heard = self._monotonic()
        self._watches.labels(kind).set_function(lambda: self._monotonic() - heard)

    def leading(self, leads: bool) -> None:
        """Tells whether this replica leads; only then it exports what resources say."""
        self._leads = leads
        self._leader.set(leads)

    def collect(self) -> bytes:
        """Returns the answer to a scrape, as ``CONTENT_TYPE``."""
        return exposition(self._resources, self._registry)

    def _gauge(self, definition: Definition) -> Gauge:
        return Gauge(definition.name, definition.meaning, definition.labels, registry=self._registry)
