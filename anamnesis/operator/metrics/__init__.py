"""Metrics for Prometheus: of the statuses of resources at scrape time, and of the operator's own process."""

from anamnesis.operator.metrics.definitions import METRIC_DEFINITIONS, MetricDefinition
from anamnesis.operator.metrics.exposition import render_exposition
from anamnesis.operator.metrics.operator_metrics import OperatorMetrics
from anamnesis.operator.metrics.resource_collector import ResourceCollector

__all__ = [
    "METRIC_DEFINITIONS",
    "MetricDefinition",
    "OperatorMetrics",
    "ResourceCollector",
    "render_exposition",
]
