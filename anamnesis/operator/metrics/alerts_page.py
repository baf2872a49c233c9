"""Writes ``docs/alerts.md`` from ``manifests/alerts``: ``python -m anamnesis.operator.metrics.alerts_page``.

With ``--check`` it writes nothing and fails where the file differs.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from anamnesis.generated import write_or_check

REPOSITORY = Path(__file__).parents[3]
RULES_FOLDER, PAGE_FILE = REPOSITORY / "manifests" / "alerts", REPOSITORY / "docs" / "alerts.md"
GROUP_ORDER = ("models", "updates", "sites", "registry", "operator")

PAGE_HEADER = """# Alerts

`manifests/alerts` has plain Prometheus rules: `promtool check rules manifests/alerts/models.yaml` checks them. The
chart wraps them into a PrometheusRule (`alerts.enabled`). The limits of scores are metrics that come from each
ContinualModel, so one rule serves all models: change a limit in the model. `manifests/alerts/tuning.yaml` has all other
thresholds. In the chart, `alerts.rules.<name>` changes the threshold, `for`, `keepFiringFor` and the severity of an
alert, or switches it off. The rules need Prometheus 2.42 or newer (`keep_firing_for`).

Without the Prometheus operator, scrape port 8080 of each replica:

```yaml
rule_files: [/etc/prometheus/anamnesis/*.yaml] # manifests/alerts without tuning.yaml
scrape_configs:
  - job_name: anamnesis # any name
    honor_labels: true # otherwise Prometheus replaces namespace by that of the operator's pod
    kubernetes_sd_configs:
      - role: pod
        namespaces: {names: [anamnesis]}
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name, __meta_kubernetes_pod_container_port_name]
        regex: anamnesis-operator;health
        action: keep
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace # distinguishes several operators, as job does
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
```

A Prometheus with fixed targets can scrape the Service, port 8080, which always answers with the leader's metrics; it
then sees one replica, and without a leader AnamnesisOperatorAbsent fires instead of AnamnesisNoLeader.

`runbook_url` starts with a placeholder, `https://anamnesis.example`: replace it by the address of your copy of the
runbooks (in the chart: `alerts.runbooks`). Evaluate the rules in the Prometheus that scrapes the operator: over several
clusters, two models of the same name would count as one.

The metrics of models and sites come from the leading replica. Without a leader these alerts end, and
AnamnesisOperatorAbsent or AnamnesisNoLeader fires. Severity: critical needs a person now, warning today, info this
week.

    export ALERTMANAGER=--alertmanager.url=http://alertmanager:9093
    amtool $ALERTMANAGER alert query component=model
    amtool $ALERTMANAGER silence add alertname=AnamnesisSiteSilent site=archive --duration=1y --comment="an archive"

`make generate` writes the tables from the rules.
"""


def render_page() -> str:
    """Returns the text of the page."""
    tuning = yaml.safe_load((RULES_FOLDER / "tuning.yaml").read_text(encoding="utf-8"))
    return PAGE_HEADER + "".join("\n".join(_render_section(name, tuning)) + "\n" for name in GROUP_ORDER)


def _render_section(name: str, tuning: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    text = (RULES_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    yield f"\n## {name.capitalize()}\n\n{text.splitlines()[0].removeprefix('# ')}\n"
    yield "| Alert | Severity | For | Threshold | Description |\n|---|---|---|---|---|"
    for rule in group["rules"]:
        yield _render_row(rule, tuning.get(rule["alert"]))


def _render_row(rule: Mapping[str, Any], threshold_tuning: Mapping[str, str] | None) -> str:
    alert = rule["alert"]
    threshold = f"{threshold_tuning['threshold']} {threshold_tuning['meaning']}" if threshold_tuning else ""
    cells = (
        f"[{alert}](runbooks/{alert}.md)",
        rule["labels"]["severity"],
        rule["for"],
        threshold,
        _describe_template(rule["annotations"]["description"]),
    )
    return f"| {' | '.join(cells)} |"


def _describe_template(template: str) -> str:
    """Returns an annotation with a name in capitals in place of each expression of the template."""
    parts = template.split("{{")
    placeholders = (part.partition("}}") for part in parts[1:])
    return parts[0] + "".join(f"{_placeholder_name(expression)}{text}" for expression, _, text in placeholders)


def _placeholder_name(expression: str) -> str:
    return expression.rpartition("$labels.")[2].strip().upper() if "$labels." in expression else "VALUE"


def main(check: bool) -> int:
    """Writes the page, or with ``check`` only compares it; returns the exit code."""
    return write_or_check({PAGE_FILE: render_page()}, "anamnesis.operator.metrics.alerts_page", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
