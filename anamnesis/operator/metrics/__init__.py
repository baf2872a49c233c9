"""What Prometheus reads: resource statuses as they are at scrape time, and how the operator's own process is."""

from anamnesis.operator.metrics.definitions import METRIC_DEFINITIONS, MetricDefinition
from anamnesis.operator.metrics.exposition import CONTENT_TYPE, render_exposition
from anamnesis.operator.metrics.operator_metrics import OperatorMetrics
from anamnesis.operator.metrics.resource_collector import ResourceCollector

__all__ = [
    "CONTENT_TYPE",
    "METRIC_DEFINITIONS",
    "MetricDefinition",
    "OperatorMetrics",
    "ResourceCollector",
    "render_exposition",
]
