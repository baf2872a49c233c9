"""What Prometheus reads: resource statuses as they are at scrape time, and how the operator's own process is."""

from anamnesis.operator.metrics.definitions import DEFINITIONS, Definition
from anamnesis.operator.metrics.exposition import CONTENT_TYPE, exposition
from anamnesis.operator.metrics.operator_metrics import OperatorMetrics
from anamnesis.operator.metrics.resource_collector import ResourceCollector

__all__ = ["CONTENT_TYPE", "DEFINITIONS", "Definition", "OperatorMetrics", "ResourceCollector", "exposition"]
