"""Panels as they occur again and again."""

from anamnesis.operator.metrics.dashboards.grafana import DashboardPanel, GrafanaJson, Query

RUNBOOKS = "https://anamnesis.example/docs/runbooks"
"""Stands for where the pages are, as in the rules."""
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
    """Returns one number; ``red_above_zero``: red where it is not 0."""
    query = Query(expr, may_be_empty=may_be_empty)
    return DashboardPanel(
        title,
        "stat",
        (query,),
        description,
        unit,
        4,
        4,
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
    """Returns values over time; ``red_below_zero``: what is left of something, red below 0."""
    field_defaults = _RED_BELOW_0 if red_below_zero else None
    return DashboardPanel(
        title, "timeseries", queries, description, unit, width, field_defaults=field_defaults, empty_text=empty_text
    )


def state_panel(
    title: str, *queries: Query, description: str = "", width: int = 12, empty_text: str = ""
) -> DashboardPanel:
    """Returns bars where a series is there."""
    field_defaults = {"custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "palette-classic-by-name"}}
    return DashboardPanel(
        title, "state-timeline", queries, description, width=width, field_defaults=field_defaults, empty_text=empty_text
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
    """Returns labels and values side by side, one line for each set of labels.

    Args:
        title: of the panel.
        queries: one column each, by its name; all have the same labels.
        units: of the columns, in order.
        description: of the panel.
        width: of 24 columns.
        overrides: of single columns.
        empty_text: what it says where there is no line.
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
        description,
        width=width,
        overrides=(*unit_overrides, *overrides),
        transformations=transformations,
        empty_text=empty_text,
    )


def link_to_model(column: str = "model") -> GrafanaJson:
    """Returns the override that makes a table's column lead to the dashboard of its model."""
    url = "/d/anamnesis-model?var-namespace=${__data.fields.namespace}&var-model=${__value.text}"
    return _column_override(column, "links", [{"title": "This model", "url": url}])


def link_to_runbook(column: str = "alertname") -> GrafanaJson:
    """Returns the override that makes a table's column lead to the page of its alert."""
    return _column_override(column, "links", [{"title": "What to do", "url": f"{RUNBOOKS}/${{__value.text}}.md"}])


def _column_override(name: str, property_id: str, value: object) -> GrafanaJson:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": property_id, "value": value}]}
