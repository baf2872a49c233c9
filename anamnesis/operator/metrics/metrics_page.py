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

The operator serves metrics at `/metrics` of its health port. The metrics of models and sites come from the statuses of
the resources at the time of the scrape: a series ends with its resource, and a restart loses nothing. Only the leading
replica exports them, so that two replicas do not count as two models.

Names have base units: a `_ratio` is from 0 to 1, a `_timestamp_seconds` is the number of seconds since 1970, UTC. A
label's value is a name that a person chose or a word of a fixed list: never a patient, a study or a run. The limits are
metrics too, so that one rule serves all models:

    anamnesis_task_forgotten_ratio > anamnesis_task_margin_ratio
    anamnesis_task_score_ratio{evaluation_set="recent"} < ignoring(evaluation_set) anamnesis_task_recent_floor_ratio
    time() - anamnesis_model_awaiting_approval_timestamp_seconds > 86400
    time() - anamnesis_site_polled_timestamp_seconds > 5 * anamnesis_site_poll_interval_seconds
    anamnesis_model_condition{type="Ready", status="False"} == 1

**Many models.** Up to 100 models, every series below is exported. Beyond, each model has those that the alerts need: at
most 20 for a model with five sites where nothing is wrong, and all series of a task outside its limits. Panels of the
dashboards then show such tasks only. `--detailed-metrics` of `anamnesis operator` (environment variable
`ANAMNESIS_DETAILED_METRICS`, in the chart under `operator.extraEnv`) is another number of models than 100.

Rules are in `manifests/alerts` ([alerts.md](alerts.md)), dashboards in `manifests/dashboards`. Scrape with
`honor_labels: true`: otherwise Prometheus replaces `namespace` by the namespace of the operator's pod.

`make generate` writes this page from `anamnesis/operator/metrics/definitions.py`.
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
Each replica exports the metrics of its own process, and the usual `process_*` series (memory, processor time, open
files).

## Dashboards

`manifests/dashboards` has two dashboards for Grafana 10.3 or newer: `fleet.json` (all models: open problems, accuracy
against the baseline, forgetting, alerts, sites, the operator) and `model.json` (one model: each task over versions and
time, saliency, updates and their duration, approvals, decisions, data). Import them, or let the chart install them
(`dashboards.enabled`). `make generate` writes them from `anamnesis/operator/metrics/dashboards`.

An empty panel shows why it is empty. Alerts link to their runbooks (in the chart: `alerts.runbooks`).

Tests parse the dashboards with Grafana's published types (`grafana-foundation-sdk`) and send each query to a Prometheus
that scrapes a real operator, with a working model and on the first day. No test renders them in Grafana: Debian, PyPI
and npm have no package of the server.
"""


def render_page() -> str:
    """Returns the text of the page."""
    sections = (
        f"\n## {title}\n\n" + "\n".join(_render_table(definitions)) + "\n" for title, definitions in SECTIONS.items()
    )
    return PAGE_HEADER + "".join(sections) + PAGE_FOOTER


def _render_table(definitions: Iterable[MetricDefinition]) -> Iterator[str]:
    yield "| Metric | Type | Labels | Meaning |\n|---|---|---|---|"
    for definition in definitions:
        yield f"| `{definition.name}` | {definition.type} | {', '.join(definition.labels)} | {definition.help_text} |"


def main(check: bool) -> int:
    """Writes the page, or with ``check`` only compares it; returns the exit code."""
    return write_or_check({PAGE_FILE: render_page()}, "anamnesis.operator.metrics.metrics_page", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
