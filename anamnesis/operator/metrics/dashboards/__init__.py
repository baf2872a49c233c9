"""Dashboards for Grafana, as data; ``manifests/dashboards`` is written from them."""

from anamnesis.operator.metrics.dashboards.fleet import FLEET
from anamnesis.operator.metrics.dashboards.grafana import Dashboard, Panel, Query
from anamnesis.operator.metrics.dashboards.model import MODEL

__all__ = ["DASHBOARDS", "Dashboard", "Panel", "Query"]

DASHBOARDS = {"fleet.json": FLEET, "model.json": MODEL}
