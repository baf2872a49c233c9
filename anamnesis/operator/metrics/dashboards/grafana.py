"""Dashboards as data, and their JSON for Grafana."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

GrafanaJson = dict[str, Any]
DATASOURCE: GrafanaJson = {"type": "prometheus", "uid": "${datasource}"}
GRID_COLUMNS = 24
SCHEMA_VERSION = 39
"""The schema of Grafana 10.3 and newer."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL; may use the variables of the dashboard, ``$__range`` and ``$__interval``.
        series_name: name of its series, as ``{{site}}``; in a table, name of its column.
        may_be_empty: whether it has a result in some cases only; the panel's description names them.
    """

    expr: str
    series_name: str = ""
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class DashboardPanel:
    """One panel.

    Attributes:
        title: title of the panel.
        visualisation: Grafana's name of the visualisation.
        queries: the queries that it shows.
        description: the meaning of the values, and when the panel is empty.
        unit: Grafana's name of the values' unit.
        width: number of columns, of 24.
        height: height in units of 30 pixels.
        options: options of the visualisation.
        field_defaults: Grafana's defaults of the values, besides the unit.
        overrides: Grafana's overrides of single columns.
        transformations: Grafana's transformations of the results, applied one after the other.
        empty_text: text in place of "No data".
    """

    title: str
    visualisation: Literal["stat", "table", "timeseries", "state-timeline"]
    queries: tuple[Query, ...]
    description: str = ""
    unit: str = "short"
    width: int = 12
    height: int = 8
    options: Mapping[str, Any] | None = None
    field_defaults: Mapping[str, Any] | None = None
    overrides: tuple[GrafanaJson, ...] = ()
    transformations: tuple[GrafanaJson, ...] = ()
    empty_text: str = ""

    def to_json(self, number: int, x: int, y: int) -> GrafanaJson:
        """Returns Grafana's JSON of the panel.

        Args:
            number: unique number within the dashboard.
            x: first column.
            y: first row.
        """
        is_instant = self.visualisation in ("stat", "table")
        defaults = {
            "unit": self.unit,
            **(self.field_defaults or {}),
            **({"noValue": self.empty_text} if self.empty_text else {}),
        }
        return {
            "id": number,
            "type": self.visualisation,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [
                _target_document(query, letter, is_instant, self.visualisation)
                for letter, query in self.queries_by_letter()
            ],
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": {**_DEFAULT_OPTIONS[self.visualisation], **(self.options or {})},
            "transformations": list(self.transformations),
        }

    def queries_by_letter(self) -> Iterable[tuple[str, Query]]:
        """Returns the queries with the letters that transformations use as their names."""
        return zip("ABCDEFGHIJKL", self.queries, strict=False)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        uid: identifier in links.
        title: title of the dashboard.
        description: content of the dashboard.
        variables: name -> the query of its values; the first is ``namespace``.
        allows_all_values: whether a variable can select all of its values.
        rows: title -> panels, from left to right, top to bottom.
        period: time range that the dashboard shows at first.
    """

    uid: str
    title: str
    description: str
    variables: Mapping[str, str]
    allows_all_values: bool
    rows: Mapping[str, tuple[DashboardPanel, ...]]
    period: str

    @property
    def queries(self) -> tuple[Query, ...]:
        """All queries of its panels."""
        return tuple(query for panels in self.rows.values() for panel in panels for query in panel.queries)

    def to_json(self) -> GrafanaJson:
        """Returns Grafana's JSON of the dashboard."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["anamnesis"],
            "editable": True,
            "graphTooltip": 1,
            "schemaVersion": SCHEMA_VERSION,
            "refresh": "1m",
            "timezone": "browser",
            "time": {"from": f"now-{self.period}", "to": "now"},
            "links": [_DASHBOARDS_LINK],
            "templating": {"list": [_DATASOURCE_VARIABLE, *(self._variable(*item) for item in self.variables.items())]},
            "panels": self._panels(),
        }

    def _variable(self, name: str, query: str) -> GrafanaJson:
        return {
            "type": "query",
            "name": name,
            "datasource": DATASOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": self.allows_all_values,
            "includeAll": self.allows_all_values,
        }

    def _panels(self) -> list[GrafanaJson]:
        panel_documents: list[GrafanaJson] = []
        y = 0
        for title, panels in self.rows.items():
            panel_documents.append(_row_document(title, len(panel_documents) + 1, y))
            x, y, tallest = 0, y + 1, 0
            for panel in panels:
                if x + panel.width > GRID_COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                panel_documents.append(panel.to_json(len(panel_documents) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return panel_documents


_DATASOURCE_VARIABLE: GrafanaJson = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
}
_DASHBOARDS_LINK: GrafanaJson = {
    "type": "dashboards",
    "title": "Anamnesis",
    "tags": ["anamnesis"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
_DEFAULT_OPTIONS: Mapping[str, GrafanaJson] = {
    "stat": {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
    "table": {"showHeader": True, "cellHeight": "sm", "frameIndex": 0, "showTypeIcons": False},
    "timeseries": {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "table", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "state-timeline": {
        "showValue": "never",
        "rowHeight": 0.9,
        "mergeValues": True,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    },
}


def _row_document(title: str, number: int, y: int) -> GrafanaJson:
    grid_position = {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": grid_position, "panels": []}


def _target_document(query: Query, letter: str, is_instant: bool, visualisation: str) -> GrafanaJson:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.series_name,
        "format": "table" if visualisation == "table" else "time_series",
        "instant": is_instant,
        "range": not is_instant,
    }
