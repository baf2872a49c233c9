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

`manifests/alerts` holds plain Prometheus rules; `promtool check rules manifests/alerts/models.yaml` reads them as they
are, the chart wraps them into a PrometheusRule (`alerts.enabled`). Limits of scores come from each ContinualModel as
metrics, so one rule serves all models, and a limit is changed where the model is. Thresholds that no resource holds
stand in `manifests/alerts/tuning.yaml`; the chart's `alerts.rules.<name>` changes them, `for`,
`keepFiringFor`, the severity, or leaves an alert out. All need Prometheus 2.42 or newer (`keep_firing_for`).

Without the Prometheus operator, scrape port 8080 of every replica, each by itself:

```yaml
rule_files: [/etc/prometheus/anamnesis/*.yaml] # manifests/alerts without tuning.yaml
scrape_configs:
  - job_name: anamnesis # any name
    honor_labels: true # else namespace becomes that of the operator's pod
    kubernetes_sd_configs:
      - role: pod
        namespaces: {names: [anamnesis]}
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name, __meta_kubernetes_pod_container_port_name]
        regex: anamnesis-operator;health
        action: keep
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace # two operators are told apart by it, or by job
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
```

`runbook_url` starts with a placeholder, `https://anamnesis.example`: replace it by where your people find these pages
(the chart: `alerts.runbooks`). The rules are for the Prometheus that scrapes: one that evaluates them over several
clusters would take two models of one name for one.

What speaks of models and sites comes from the leading replica. While there is none, those alerts end, and
AnamnesisOperatorAbsent or AnamnesisNoLeader fires. Severity: critical wakes somebody, warning is for today, info for
this week.

    export ALERTMANAGER=--alertmanager.url=http://alertmanager:9093
    amtool $ALERTMANAGER alert query component=model
    amtool $ALERTMANAGER silence add alertname=AnamnesisSiteSilent site=archive --duration=1y --comment="an archive"

The tables are written from the rules by `make generate`.
"""


def render_page() -> str:
    """Returns the text of the page."""
    tuning = yaml.safe_load((RULES_FOLDER / "tuning.yaml").read_text(encoding="utf-8"))
    return PAGE_HEADER + "".join("\n".join(_render_section(name, tuning)) + "\n" for name in GROUP_ORDER)


def _render_section(name: str, tuning: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    text = (RULES_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    (group,) = yaml.safe_load(text)["groups"]
    yield f"\n## {name.capitalize()}\n\n{text.splitlines()[0].removeprefix('# ')}\n"
    yield "| alert | severity | for | threshold | what it says |\n|---|---|---|---|---|"
    for rule in group["rules"]:
        yield _render_row(rule, tuning.get(rule["alert"]))


def _render_row(rule: Mapping[str, Any], threshold_tuning: Mapping[str, str] | None) -> str:
    alert, threshold = (
        rule["alert"],
        f"{threshold_tuning['threshold']} {threshold_tuning['meaning']}" if threshold_tuning else "",
    )
    cells = (
        f"[{alert}](runbooks/{alert}.md)",
        rule["labels"]["severity"],
        rule["for"],
        threshold,
        _describe_template(rule["annotations"]["description"]),
    )
    return f"| {' | '.join(cells)} |"


def _describe_template(template: str) -> str:
    """Returns an annotation with its values in angle brackets."""
    parts = template.split("{{")
    placeholders = (part.partition("}}") for part in parts[1:])
    return parts[0] + "".join(f"`{_placeholder_name(expression)}`{text}" for expression, _, text in placeholders)


def _placeholder_name(expression: str) -> str:
    return expression.rpartition("$labels.")[2].strip() if "$labels." in expression else "value"


def main(check: bool) -> int:
    """Writes the page, or with ``check`` only says whether it is as it should be; returns the exit code."""
    return write_or_check({PAGE_FILE: render_page()}, "anamnesis.operator.metrics.alerts_page", check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
