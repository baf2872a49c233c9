"""Renders metrics in Prometheus' text format."""

from collections.abc import Iterator

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector


class _CombinedCollector(Collector):
    """Several collectors as one, without the ``_created`` series that prometheus-client adds."""

    def __init__(self, collectors: tuple[Collector, ...]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        for collector in self._collectors:
            for metric in collector.collect():
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric


def render_exposition(*collectors: Collector) -> bytes:
    """Returns the current metrics of the collectors in Prometheus' text format 0.0.4."""
    return generate_latest(_CombinedCollector(collectors))
