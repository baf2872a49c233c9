"""Dashboards as data, and the JSON that Grafana reads of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
SCHEMA = 39
"""Grafana 10.3 and newer."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL; may use the variables of the dashboard, ``$__range`` and ``$__interval``.
        name: of its series, as ``{{site}}``; in a table, of its column.
        may_be_empty: it has an answer only in some cases, which the panel's description names.
    """

    expr: str
    name: str = ""
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: of the panel.
        kind: Grafana's name of the visualisation.
        queries: what it shows.
        description: what it says, and when it is empty.
        unit: Grafana's name of the values' unit.
        width: of 24 columns.
        height: in units of 30 pixels.
        options: of the visualisation.
        field: of its values, beyond the unit.
        transformations: of the answer, in order.
        empty: what it says in place of "No data".
    """

    title: str
    kind: Literal["stat", "table", "timeseries", "state-timeline"]
    queries: tuple[Query, ...]
    description: str = ""
    unit: str = "short"
    width: int = 12
    height: int = 8
    options: Mapping[str, Any] | None = None
    field: Mapping[str, Any] | None = None
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()
    empty: str = ""

    def to_json(self, number: int, x: int, y: int) -> Json:
        """Returns it as Grafana has it.

        Args:
            number: unique within the dashboard.
            x: first column.
            y: first line.
        """
        at_once = self.kind in ("stat", "table")
        defaults = {"unit": self.unit, **(self.field or {}), **({"noValue": self.empty} if self.empty else {})}
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "targets": [_target(query, letter, at_once, self.kind) for letter, query in self.lettered()],
            "fieldConfig": {"defaults": defaults, "overrides": list(self.overrides)},
            "options": {**_OPTIONS[self.kind], **(self.options or {})},
            "transformations": list(self.transformations),
        }

    def lettered(self) -> Iterable[tuple[str, Query]]:
        """Returns the queries with the letters by which transformations know them."""
        return zip("ABCDEFGHIJKL", self.queries, strict=False)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        uid: by which links find it.
        title: of the dashboard.
        description: what it answers.
        variables: name -> the query of its values; the first is ``namespace``.
        every: whether a variable may stand for all of its values.
        rows: title -> panels, from left to right, top to bottom.
        period: of time that it shows at first.
    """

    uid: str
    title: str
    description: str
    variables: Mapping[str, str]
    every: bool
    rows: Mapping[str, tuple[Panel, ...]]
    period: str

    @property
    def queries(self) -> tuple[Query, ...]:
        """Every query of its panels."""
        return tuple(query for panels in self.rows.values() for panel in panels for query in panel.queries)

    def to_json(self) -> Json:
        """Returns it as Grafana has it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["anamnesis"],
            "editable": True,
            "graphTooltip": 1,
            "schemaVersion": SCHEMA,
            "refresh": "1m",
            "timezone": "browser",
            "time": {"from": f"now-{self.period}", "to": "now"},
            "links": [_LINK],
            "templating": {"list": [_SOURCE, *(self._variable(*item) for item in self.variables.items())]},
            "panels": self._panels(),
        }

    def _variable(self, name: str, query: str) -> Json:
        return {
            "type": "query",
            "name": name,
            "datasource": DATASOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": self.every,
            "includeAll": self.every,
        }

    def _panels(self) -> list[Json]:
        found: list[Json] = []
        y = 0
        for title, panels in self.rows.items():
            found.append(_row(title, len(found) + 1, y))
            x, y, tallest = 0, y + 1, 0
            for panel in panels:
                if x + panel.width > COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                found.append(panel.to_json(len(found) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return found


_SOURCE: Json = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"}
_LINK: Json = {
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
_OPTIONS: Mapping[str, Json] = {
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


def _row(title: str, number: int, y: int) -> Json:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _target(query: Query, letter: str, at_once: bool, kind: str) -> Json:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.name,
        "format": "table" if kind == "table" else "time_series",
        "instant": at_once,
        "range": not at_once,
    }
