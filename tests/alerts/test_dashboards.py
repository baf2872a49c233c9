"""Grafana's published types accept the dashboards, and the dashboards query existing metrics."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from alerts.rules import promtool
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from anamnesis.operator.metrics import METRIC_DEFINITIONS
from anamnesis.operator.metrics.dashboards import DASHBOARDS, Dashboard
from anamnesis.operator.metrics.dashboards import __main__ as writer

each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS.keys())
HISTOGRAM = re.compile(r"_(count|bucket|sum)$")


def read_by_grafana(document: dict[str, Any]) -> dict[str, Any]:
    """A document after a round trip through Grafana's types, which drop unknown fields."""
    register_default_plugins()
    parsed: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(GrafanaDashboard.from_json(document)))
    return parsed


def lost_paths(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths of the fields that the first document has and the second has not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [p for key, value in ours.items() for p in lost_paths(value, theirs.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [p for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) for p in lost_paths(a, b, f"{path}[{i}]")]
    return [] if ours == theirs else [path]


@each_dashboard
def test_grafana_keeps_every_field(dashboard: Dashboard) -> None:
    document = dashboard.to_json()
    assert lost_paths(document, read_by_grafana(document)) == []
    document["panels"][1]["options"]["colour"] = document["panels"][1]["nonsense"] = 1
    assert len(lost_paths(document, read_by_grafana(document))) == 2


@each_dashboard
def test_panels_do_not_overlap_and_have_unique_numbers(dashboard: Dashboard) -> None:
    panels = dashboard.to_json()["panels"]
    occupied_cells = [
        (x, y)
        for position in (panel["gridPos"] for panel in panels)
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(set(occupied_cells)) == len(occupied_cells)
    assert max(x for x, _ in occupied_cells) == 23
    assert len({panel["id"] for panel in panels}) == len(panels)


@each_dashboard
def test_queries_name_existing_metrics_and_labels(dashboard: Dashboard) -> None:
    labels = {definition.name: {*definition.labels, "instance", "job", "le"} for definition in METRIC_DEFINITIONS}
    for query in dashboard.queries:
        for metric, selector in re.findall(r"(anamnesis_\w+)(?:\{([^}]*)\})?", query.expr):
            assert set(re.findall(r"(\w+)=", selector)) <= labels[HISTOGRAM.sub("", metric)], query.expr


@each_dashboard
def test_promtool_can_read_every_query(dashboard: Dashboard, tmp_path: Path) -> None:
    exprs = [query.expr.replace("$__range", "1h").replace("$__interval", "1m") for query in dashboard.queries]
    assert parse(tmp_path, exprs)
    assert not parse(tmp_path, [*exprs, "sum by ("])


def parse(folder: Path, exprs: list[str]) -> bool:
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(exprs)]
    (folder / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    return promtool("check", "rules", folder / "queries.yaml").returncode == 0


@each_dashboard
def test_a_panel_that_may_be_empty_says_when(dashboard: Dashboard) -> None:
    for panel in (panel for panels in dashboard.rows.values() for panel in panels):
        if any(query.may_be_empty for query in panel.queries):
            assert re.search(r"Empty|once|where", panel.description), panel.title


def test_the_files_follow_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert writer.main(check=True) == 0
    monkeypatch.setattr(writer, "FOLDER", tmp_path / "dashboards")
    assert writer.main(check=True) == 1
    assert (writer.main(check=False), writer.main(check=True)) == (0, 0)
