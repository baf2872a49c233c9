"""Writes ``docs/metrics.md`` from the table of definitions: ``python -m anamnesis.operator.metrics.metrics_page``.

With ``--check`` it writes nothing and fails where the file differs.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from anamnesis.generated import write_or_check
from anamnesis.operator.metrics.definitions import (
    MODEL_METRICS,
    MODEL_SITE_METRICS,
    PROCESS_METRICS,
    SITE_METRICS,
    TASK_METRICS,
    UPDATE_METRICS,
    MetricDefinition,
)

PAGE_FILE = Path(__file__).parents[3] / "docs" / "metrics.md"

PAGE_HEADER = """# Metrics

The operator answers at `/metrics` of its port for health. What it says of models and sites is read from the statuses of
the resources at the moment of the scrape: a series goes when its resource goes, and a restart loses nothing. Only the
leading replica exports them, so that two replicas are not two models.

Names have base units: a `_ratio` is from 0 to 1, a `_timestamp_seconds` counts from 1970, UTC. Labels are names that
people gave or words of a fixed list: never a patient, a study or a run. The limits stand beside what they limit, so
one rule serves every model:

    anamnesis_task_forgotten_ratio > anamnesis_task_margin_ratio
    anamnesis_task_score_ratio{window="recent"} < ignoring(window) anamnesis_task_recent_floor_ratio
    time() - anamnesis_model_awaiting_approval_timestamp_seconds > 86400
    time() - anamnesis_site_polled_timestamp_seconds > 5 * anamnesis_site_poll_interval_seconds
    anamnesis_model_condition{type="Ready", status="False"} == 1

Rules are in `manifests/alerts` ([alerts.md](alerts.md)), dashboards in `manifests/dashboards`. A scraper must keep
these labels as they are (`honor_labels: true`): else `namespace` becomes that of the operator's pod.

This page is written from `anamnesis/operator/metrics/definitions.py` by `make generate`.
"""

SECTIONS = {
    "Models": MODEL_METRICS,
    "Updates and approvals": UPDATE_METRICS,
    "Sites of a model": MODEL_SITE_METRICS,
    "Tasks": TASK_METRICS,
    "Sites": SITE_METRICS,
    "The operator": PROCESS_METRICS,
}

PAGE_FOOTER = """
Every replica exports the metrics of its own process, and the `process_*` series that Prometheus clients share (memory,
processor time, open files).

## Dashboards

`manifests/dashboards` holds two for Grafana 10.3 or newer: `fleet.json` (all models: what needs somebody, accuracy
against baseline, forgetting, alerts, sites, the operator) and `model.json` (one model: each task over versions and
time, saliency, updates and how long they take, approvals, decisions, data). Import them as they are, or let the chart
do so (`dashboards.enabled`). They are written from `anamnesis/operator/metrics/dashboards` by `make generate`.

A panel that has nothing to show says why. Alerts lead to their pages (the chart: `alerts.runbooks`).

Tests read them with Grafana's published types (`grafana-foundation-sdk`) and put every query to a Prometheus that
scrapes a real operator, with a model at work and on the first day. No Grafana has drawn them in a test: Debian, PyPI
and npm have no server of it.
"""


def render_page() -> str:
    """Returns the text of the page."""
    sections = (
        f"\n## {title}\n\n" + "\n".join(_render_table(definitions)) + "\n" for title, definitions in SECTIONS.items()
    )
    return PAGE_HEADER + "".join(sections) + PAGE_FOOTER


def _render_table(definitions: Iterable[MetricDefinition]) -> Iterator[str]:
    yield "| metric | type | labels | meaning |\n|---|---|---|---|"
    for definition in definitions:
        yield f"| `{definition.name}` | {definition.type} | {', '.join(definition.labels)} | {definition.help_text} |"


def main(check: bool) -> int:
    """Writes the page, or with ``check`` only says whether it is as it should be; returns the exit code."""
    return write_or_check({PAGE_FILE: render_page()}, "anamnesis.operator.metrics.metrics_page", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
