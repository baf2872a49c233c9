"""Dashboards for Grafana as data, the source of ``manifests/dashboards``."""

from anamnesis.operator.metrics.dashboards.fleet import FLEET_DASHBOARD
from anamnesis.operator.metrics.dashboards.grafana import Dashboard, DashboardPanel, Query
from anamnesis.operator.metrics.dashboards.model import MODEL_DASHBOARD

__all__ = ["DASHBOARDS", "Dashboard", "DashboardPanel", "Query"]

DASHBOARDS = {"fleet.json": FLEET_DASHBOARD, "model.json": MODEL_DASHBOARD}
