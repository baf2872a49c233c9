"""Panels as they occur again and again."""

from anamnesis.operator.metrics.dashboards.grafana import Json, Panel, Query

RUNBOOKS = "https://anamnesis.example/docs/runbooks"
"""Stands for where the pages are, as in the rules."""
_GREEN_RED: Json = {
    "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "green"}, {"value": 1, "color": "red"}]}
}


_RED_BELOW_0: Json = {
    "thresholds": {
        "mode": "absolute",
        "steps": [{"value": None, "color": "red"}, {"value": 0, "color": "transparent"}],
    },
    "custom": {"thresholdsStyle": {"mode": "line+area"}},
}


def stat(
    title: str,
    expr: str,
    unit: str = "short",
    description: str = "",
    bad: bool = False,
    empty: str = "",
    may_be_empty: bool = False,
) -> Panel:
    """Returns one number; ``bad``: red where it is not 0."""
    shown = Query(expr, may_be_empty=may_be_empty)
    return Panel(title, "stat", (shown,), description, unit, 4, 4, field=_GREEN_RED if bad else None, empty=empty)


def lines(
    title: str,
    *queries: Query,
    unit: str = "percentunit",
    description: str = "",
    width: int = 12,
    empty: str = "",
    left: bool = False,
) -> Panel:
    """Returns values over time; ``left``: what is left of something, red below 0."""
    field = _RED_BELOW_0 if left else None
    return Panel(title, "timeseries", queries, description, unit, width, field=field, empty=empty)


def states(title: str, *queries: Query, description: str = "", width: int = 12, empty: str = "") -> Panel:
    """Returns bars where a series is there."""
    field = {"custom": {"fillOpacity": 70, "lineWidth": 0}, "color": {"mode": "palette-classic-by-name"}}
    return Panel(title, "state-timeline", queries, description, width=width, field=field, empty=empty)


def table(
    title: str,
    *queries: Query,
    units: tuple[str, ...] = (),
    description: str = "",
    width: int = 24,
    overrides: tuple[Json, ...] = (),
    empty: str = "",
) -> Panel:
    """Returns labels and values side by side, one line for each set of labels.

    Args:
        title: of the panel.
        queries: one column each, by its name; all have the same labels.
        units: of the columns, in order.
        description: of the panel.
        width: of 24 columns.
        overrides: of single columns.
        empty: what it says where there is no line.
    """
    names = {f"Value #{letter}": query.name for letter, query in zip("ABCDEFGHIJKL", queries, strict=False)}
    if len(queries) == 1:
        names = {"Value": queries[0].name}
    hidden = {"Time": True, **{column: True for column, name in names.items() if not name}}
    shown = {column: name for column, name in names.items() if name}
    organize = {"excludeByName": hidden, "renameByName": shown, "indexByName": {}, "includeByName": {}}
    transformations = ({"id": "merge", "options": {}}, {"id": "organize", "options": organize})
    named = (query.name for query in queries)
    of_units = tuple(_column(name, "unit", unit) for name, unit in zip(named, units, strict=False))
    return Panel(
        title,
        "table",
        queries,
        description,
        width=width,
        overrides=(*of_units, *overrides),
        transformations=transformations,
        empty=empty,
    )


def link_to_model(column: str = "model") -> Json:
    """Returns the override that makes a table's column lead to the dashboard of its model."""
    url = "/d/anamnesis-model?var-namespace=${__data.fields.namespace}&var-model=${__value.text}"
    return _column(column, "links", [{"title": "This model", "url": url}])


def link_to_runbook(column: str = "alertname") -> Json:
    """Returns the override that makes a table's column lead to the page of its alert."""
    return _column(column, "links", [{"title": "What to do", "url": f"{RUNBOOKS}/${{__value.text}}.md"}])


def _column(name: str, what: str, value: object) -> Json:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": what, "value": value}]}
