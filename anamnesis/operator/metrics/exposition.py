"""The text that Prometheus reads."""

from collections.abc import Iterator

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _CombinedCollector(Collector):
    """Several collectors as one, without the ``_created`` series that prometheus-client adds to its own."""

    def __init__(self, collectors: tuple[Collector, ...]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        for collector in self._collectors:
            for metric in collector.collect():
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric


def render_exposition(*collectors: Collector) -> bytes:
    """Returns what the collectors have now, as ``CONTENT_TYPE``."""
    return generate_latest(_CombinedCollector(collectors))
