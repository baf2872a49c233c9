"""The dashboard of all models: open problems, accuracy of each model, and the state of the operator."""

from anamnesis.operator.metrics.dashboards.grafana import Dashboard, DashboardPanel, Query
from anamnesis.operator.metrics.dashboards.panels import (
    line_panel,
    link_to_model,
    link_to_runbook,
    stat_panel,
    table_panel,
)

_NAMESPACE_SELECTOR = '{namespace=~"$namespace"}'
_FIRING_ALERTS = 'ALERTS{alertname=~"Anamnesis.*",alertstate="firing"}'
_MAX_BY_TASK = "max by (namespace, model, site, task)"
_MAX_BY_SITE = "max by (namespace, site)"
_RECONCILE_COUNT = "anamnesis_operator_reconcile_duration_seconds_count"
_NO_CHAMPION_TEXT = "No model has a champion yet."
_NO_CASES_TEXT = "No scheduled evaluation has found enough new cases yet."
_RECONCILE_BUCKET = "anamnesis_operator_reconcile_duration_seconds_bucket"


def _count_query(expr: str) -> str:
    """The number of series; 0 where there is none."""
    return f"count({expr}) or vector(0)"


def _task_query(metric: str, evaluation_set: str = "") -> str:
    matcher = f',evaluation_set="{evaluation_set}"' if evaluation_set else ""
    return f'{_MAX_BY_TASK} (anamnesis_task_{metric}{{namespace=~"$namespace"{matcher}}})'


def _site_query(expr: str) -> str:
    return f"{_MAX_BY_SITE} ({expr})"


_SUMMARY_PANELS: tuple[DashboardPanel, ...] = (
    stat_panel("Models", _count_query(f"group by (namespace, model) (anamnesis_model_info{_NAMESPACE_SELECTOR})")),
    stat_panel(
        "Sites", _count_query(f"group by (namespace, site) (anamnesis_site_poll_interval_seconds{_NAMESPACE_SELECTOR})")
    ),
    stat_panel("Firing alerts", _count_query(_FIRING_ALERTS), red_above_zero=True),
    stat_panel(
        "Waiting for approval",
        _count_query(f"anamnesis_model_awaiting_approval_timestamp_seconds{_NAMESPACE_SELECTOR}"),
        red_above_zero=True,
    ),
    stat_panel(
        "Updates in flight", _count_query(f"anamnesis_model_update_started_timestamp_seconds{_NAMESPACE_SELECTOR}")
    ),
    stat_panel("Without a champion", _count_query('anamnesis_model_info{namespace=~"$namespace",champion=""}')),
)
_TASK_PANELS = (
    table_panel(
        "Tasks",
        Query(_task_query("score_ratio", "frozen"), "score"),
        Query(_task_query("first_ratio"), "first"),
        Query(_task_query("forgotten_ratio"), "forgotten"),
        Query(_task_query("margin_ratio"), "margin"),
        Query(_task_query("floor_ratio"), "floor", may_be_empty=True),
        Query(_task_query("ceiling_ratio"), "ceiling", may_be_empty=True),
        Query(_task_query("score_ratio", "recent"), "recent", may_be_empty=True),
        Query(_task_query("saliency_ratio"), "saliency", may_be_empty=True),
        units=(*("none",) * 7, "percentunit"),
        description="The champion on each frozen test set, compared with the first accepted version. "
        "Ceiling: of a metric where lower is better. Recent: once a scheduled evaluation found enough new cases. "
        "Saliency: where it was measured.",
        overrides=(link_to_model(),),
        empty_text=_NO_CHAMPION_TEXT,
    ),
)
_TREND_PANELS = (
    line_panel(
        "Score against the first accepted version",
        Query(
            f"-max by (namespace, model) (anamnesis_task_forgotten_ratio{_NAMESPACE_SELECTOR})",
            "{{namespace}}/{{model}}",
        ),
        unit="none",
        description="How much better the score is than that of the first accepted version: each model's worst task.",
        empty_text=_NO_CHAMPION_TEXT,
    ),
    line_panel(
        "Forgetting: remaining margin",
        Query(
            f"min by (namespace, model) (anamnesis_task_margin_ratio{_NAMESPACE_SELECTOR}"
            f" - anamnesis_task_forgotten_ratio{_NAMESPACE_SELECTOR})",
            "{{namespace}}/{{model}}",
        ),
        unit="none",
        description="For each model's worst task; below 0 the alert AnamnesisOldTaskAccuracyDrop fires.",
        empty_text=_NO_CHAMPION_TEXT,
        red_below_zero=True,
    ),
    line_panel(
        "Recent cases against their floor",
        Query(
            'min by (namespace, model) (anamnesis_task_score_ratio{namespace=~"$namespace",evaluation_set="recent"}'
            f" - ignoring (evaluation_set) anamnesis_task_recent_floor_ratio{_NAMESPACE_SELECTOR})",
            "{{namespace}}/{{model}}",
            may_be_empty=True,
        ),
        description="For each model's worst task. Empty until a scheduled evaluation found enough new cases.",
        empty_text=_NO_CASES_TEXT,
        red_below_zero=True,
    ),
    line_panel(
        "Decisions",
        Query(
            "sum by (result) "
            f"(max by (namespace, model, result) (anamnesis_model_decisions_total{_NAMESPACE_SELECTOR}))",
            "{{result}}",
        ),
        unit="short",
        description="Entries in the logs of all registries.",
        empty_text="There is no model yet.",
    ),
)
_ALERT_PANELS = (
    table_panel(
        "Firing alerts",
        Query(f"max by (severity, alertname, namespace, model, site, task) ({_FIRING_ALERTS})", may_be_empty=True),
        description="Empty where no alert fires. docs/runbooks has a page for each alert.",
        width=12,
        overrides=(link_to_model(), link_to_runbook()),
        empty_text="No alert fires.",
    ),
    line_panel(
        "Alerts over time",
        Query(f"count by (alertname) ({_FIRING_ALERTS})", "{{alertname}}", may_be_empty=True),
        unit="short",
        description="Empty where no alert fired.",
        empty_text="No alert fired.",
    ),
)
_SITE_PANELS = (
    table_panel(
        "Sources",
        Query(_site_query(f"anamnesis_site_ready{_NAMESPACE_SELECTOR}"), "readable"),
        Query(_site_query(f"anamnesis_site_files{_NAMESPACE_SELECTOR}"), "files"),
        Query(_site_query(f"time() - anamnesis_site_changed_timestamp_seconds{_NAMESPACE_SELECTOR}"), "unchanged for"),
        Query(_site_query(f"time() - anamnesis_site_polled_timestamp_seconds{_NAMESPACE_SELECTOR}"), "time since poll"),
        Query(_site_query(f"anamnesis_model_site_quarantined_ratio{_NAMESPACE_SELECTOR}"), "quarantined"),
        Query(_site_query(f"anamnesis_site_quarantine_limit_ratio{_NAMESPACE_SELECTOR}"), "limit"),
        units=("bool_yes_no", "short", "s", "s", "percentunit", "percentunit"),
        description="Quarantined: share of the files; known after the first ingest.",
        empty_text="There is no Site yet.",
    ),
)
_OPERATOR_PANELS = (
    stat_panel("Leaders", "sum(anamnesis_operator_leader)", description="1: exactly one replica leads."),
    stat_panel("Replicas", "count(anamnesis_operator_build_info)"),
    stat_panel("Uptime of the youngest replica", "min(time() - anamnesis_operator_started_timestamp_seconds)", "s"),
    stat_panel("Queue depth", "sum(anamnesis_operator_queue_depth)"),
    stat_panel("Unreadable resources", "max(anamnesis_operator_unread_resources)", red_above_zero=True),
    stat_panel("Age of the oldest watch", "max(anamnesis_operator_watch_age_seconds)", "s"),
    line_panel(
        "Reconciles",
        Query(f"sum by (kind, result) (rate({_RECONCILE_COUNT}[5m]))", "{{kind}} {{result}}"),
        unit="ops",
        width=8,
        empty_text="Nothing has been reconciled yet.",
    ),
    line_panel(
        "Duration of a reconcile, 95th percentile",
        Query(f"histogram_quantile(0.95, sum by (kind, le) (rate({_RECONCILE_BUCKET}[5m])))", "{{kind}}"),
        unit="s",
        width=8,
        empty_text="Nothing has been reconciled yet.",
    ),
    line_panel(
        "Memory",
        Query("process_resident_memory_bytes and on (instance, job) anamnesis_operator_build_info", "{{instance}}"),
        unit="bytes",
        width=8,
    ),
)

FLEET_DASHBOARD = Dashboard(
    uid="anamnesis-fleet",
    title="Anamnesis / Fleet",
    description="All models: open problems, accuracy of each model, and the state of the operator.",
    variables={"namespace": "label_values(anamnesis_model_info, namespace)"},
    allows_all_values=True,
    rows={
        "Now": _SUMMARY_PANELS,
        "Models and tasks": (*_TASK_PANELS, *_TREND_PANELS),
        "Alerts": _ALERT_PANELS,
        "Sites": _SITE_PANELS,
        "Operator": _OPERATOR_PANELS,
    },
    period="7d",
)
