"""Kinds of panels that the dashboards share."""

from anamnesis.operator.metrics.dashboards.grafana import DashboardPanel, GrafanaJson, Query

RUNBOOKS = "https://anamnesis.example/docs/runbooks"
"""Placeholder for the address of the runbooks, as in the rules."""
_GREEN_RED: GrafanaJson = {
    "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 1, "color": "red"}]}
}
_RED_BELOW_0: GrafanaJson = {
    "thresholds": {
        "mode": "absolute",
        "steps": [{"value": None, "color": "red"}, {"value": 0, "color": "transparent"}],
    },
    "custom": {"thresholdsStyle": {"mode": "line+area"}},
}


def stat_panel(
    title: str,
    expr: str,
    unit: str = "short",
    description: str = "",
    red_above_zero: bool = False,
    empty_text: str = "",
    may_be_empty: bool = False,
) -> DashboardPanel:
    """Returns a panel with one number; ``red_above_zero``: red where it is not 0."""
    query = Query(expr, may_be_empty=may_be_empty)
    return DashboardPanel(
        title,
        "stat",
        (query,),
        description=description,
        unit=unit,
        width=4,
        height=4,
        field_defaults=_GREEN_RED if red_above_zero else None,
        empty_text=empty_text,
    )


def line_panel(
    title: str,
    *queries: Query,
    unit: str = "percentunit",
    description: str = "",
    width: int = 12,
    empty_text: str = "",
    red_below_zero: bool = False,
) -> DashboardPanel:
    """Returns a panel with values over time; ``red_below_zero``: the area below 0 is red."""
    return DashboardPanel(
        title,
        "timeseries",
        queries,
        description=description,
        unit=unit,
        width=width,
        field_defaults=_RED_BELOW_0 if red_below_zero else None,
        empty_text=empty_text,
    )


def state_panel(
    title: str, *queries: Query, description: str = "", width: int = 12, empty_text: str = ""
) -> DashboardPanel:
    """Returns a panel with a bar for each series, over the time in which the series exists."""
    field_defaults = {"custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "palette-classic-by-name"}}
    return DashboardPanel(
        title,
        "state-timeline",
        queries,
        description=description,
        width=width,
        field_defaults=field_defaults,
        empty_text=empty_text,
    )


def table_panel(
    title: str,
    *queries: Query,
    units: tuple[str, ...] = (),
    description: str = "",
    width: int = 24,
    overrides: tuple[GrafanaJson, ...] = (),
    empty_text: str = "",
) -> DashboardPanel:
    """Returns a table of labels and values, with one row for each set of labels.

    Args:
        title: title of the panel.
        queries: one query for each column, with the column's name; all have the same labels.
        units: unit of each column.
        description: description of the panel.
        width: number of columns of the dashboard, of 24.
        overrides: Grafana's overrides of single columns.
        empty_text: text where the table has no row.
    """
    names = {f"Value #{letter}": query.series_name for letter, query in zip("ABCDEFGHIJKL", queries, strict=False)}
    if len(queries) == 1:
        names = {"Value": queries[0].series_name}
    hidden_columns = {"Time": True, **{column: True for column, name in names.items() if not name}}
    renamed_columns = {column: name for column, name in names.items() if name}
    organize = {
        "excludeByName": hidden_columns,
        "renameByName": renamed_columns,
        "indexByName": {},
        "includeByName": {},
    }
    transformations = ({"id": "merge", "options": {}}, {"id": "organize", "options": organize})
    query_names = (query.series_name for query in queries)
    unit_overrides = tuple(_column_override(name, "unit", unit) for name, unit in zip(query_names, units, strict=False))
    return DashboardPanel(
        title,
        "table",
        queries,
        description=description,
        width=width,
        overrides=(*unit_overrides, *overrides),
        transformations=transformations,
        empty_text=empty_text,
    )


def link_to_model(column: str = "model") -> GrafanaJson:
    """Returns the override that links a table's column to the dashboard of its model."""
    url = "/d/anamnesis-model?var-namespace=${__data.fields.namespace}&var-model=${__value.text}"
    return _column_override(column, "links", [{"title": "Show this model", "url": url}])


def link_to_runbook(column: str = "alertname") -> GrafanaJson:
    """Returns the override that links a table's column to the runbook of its alert."""
    return _column_override(column, "links", [{"title": "Runbook", "url": f"{RUNBOOKS}/${{__value.text}}.md"}])


def _column_override(name: str, property_id: str, value: object) -> GrafanaJson:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": property_id, "value": value}]}
