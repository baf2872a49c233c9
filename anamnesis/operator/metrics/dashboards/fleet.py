"""All models at a glance: what needs somebody, how well each does, and how the operator is."""

from anamnesis.operator.metrics.dashboards.grafana import Dashboard, Panel, Query
from anamnesis.operator.metrics.dashboards.panels import lines, link_to_model, link_to_runbook, stat, table

_IN = '{namespace=~"$namespace"}'
_FIRING = 'ALERTS{alertname=~"Anamnesis.*",alertstate="firing"}'
_TASK = "max by (namespace, model, site, task)"
_SITE = "max by (namespace, site)"
_COUNT = "anamnesis_operator_reconcile_duration_seconds_count"
_LEARNED = "No model has a champion yet."
_CASES = "No scheduled evaluation has found enough new cases yet."
_BUCKET = "anamnesis_operator_reconcile_duration_seconds_bucket"


def _counted(expr: str) -> str:
    """How many models or sites; 0 where there is none."""
    return f"count({expr}) or vector(0)"


def _task(metric: str, window: str = "") -> str:
    window = f',window="{window}"' if window else ""
    return f'{_TASK} (anamnesis_task_{metric}{{namespace=~"$namespace"{window}}})'


def _site(expr: str) -> str:
    return f"{_SITE} ({expr})"


_NOW: tuple[Panel, ...] = (
    stat("Models", _counted(f"group by (namespace, model) (anamnesis_model_info{_IN})")),
    stat("Sites", _counted(f"group by (namespace, site) (anamnesis_site_poll_interval_seconds{_IN})")),
    stat("Alerts that fire", _counted(_FIRING), bad=True),
    stat("Wait for approval", _counted(f"anamnesis_model_awaiting_approval_timestamp_seconds{_IN}"), bad=True),
    stat("Updates in flight", _counted(f"anamnesis_model_update_started_timestamp_seconds{_IN}")),
    stat("Without a champion", _counted('anamnesis_model_info{namespace=~"$namespace",champion=""}')),
)
_TASKS = (
    table(
        "Tasks",
        Query(_task("score_ratio", "frozen"), "score"),
        Query(_task("best_ratio"), "best ever"),
        Query(_task("forgotten_ratio"), "forgotten"),
        Query(_task("margin_ratio"), "margin"),
        Query(_task("floor_ratio"), "floor"),
        Query(_task("score_ratio", "recent"), "recent", may_be_empty=True),
        Query(_task("saliency_ratio"), "saliency", may_be_empty=True),
        units=("percentunit",) * 7,
        description="The champion on each frozen test set, against the best that any promoted version had. "
        "Recent: once a scheduled evaluation found enough new cases. Saliency: where it was measured.",
        overrides=(link_to_model(),),
        empty=_LEARNED,
    ),
)
_OVER_TIME = (
    lines(
        "Accuracy against baseline",
        Query(f"-max by (namespace, model) (anamnesis_task_forgotten_ratio{_IN})", "{{namespace}}/{{model}}"),
        description="Score minus the best that any promoted version had, of each model's worst task.",
        empty=_LEARNED,
    ),
    lines(
        "Forgetting: margin that is left",
        Query(
            f"min by (namespace, model) (anamnesis_task_margin_ratio{_IN} - anamnesis_task_forgotten_ratio{_IN})",
            "{{namespace}}/{{model}}",
        ),
        description="Of each model's worst task; below 0 the alert AnamnesisOldTaskAccuracyDrop fires.",
        empty=_LEARNED,
        left=True,
    ),
    lines(
        "Recent cases against their floor",
        Query(
            'min by (namespace, model) (anamnesis_task_score_ratio{namespace=~"$namespace",window="recent"}'
            f" - ignoring (window) anamnesis_task_recent_floor_ratio{_IN})",
            "{{namespace}}/{{model}}",
            may_be_empty=True,
        ),
        description="Of each model's worst task. Empty until a scheduled evaluation found enough new cases.",
        empty=_CASES,
        left=True,
    ),
    lines(
        "Decisions",
        Query(
            f"sum by (result) (max by (namespace, model, result) (anamnesis_model_decisions_total{_IN}))", "{{result}}"
        ),
        unit="short",
        description="Entries of all registries' logs.",
        empty="There is no model yet.",
    ),
)
_ALERTS = (
    table(
        "Alerts that fire",
        Query(f"max by (severity, alertname, namespace, model, site, task) ({_FIRING})", may_be_empty=True),
        description="Empty is good. docs/runbooks has a page for each.",
        width=12,
        overrides=(link_to_model(), link_to_runbook()),
        empty="No alert fires.",
    ),
    lines(
        "Alerts over time",
        Query(f"count by (alertname) ({_FIRING})", "{{alertname}}", may_be_empty=True),
        unit="short",
        description="Empty is good.",
        empty="No alert fired.",
    ),
)
_SITES = (
    table(
        "Sources",
        Query(_site(f"anamnesis_site_readable{_IN}"), "readable"),
        Query(_site(f"anamnesis_site_files{_IN}"), "files"),
        Query(_site(f"time() - anamnesis_site_changed_timestamp_seconds{_IN}"), "unchanged for"),
        Query(_site(f"time() - anamnesis_site_polled_timestamp_seconds{_IN}"), "looked at before"),
        Query(_site(f"anamnesis_model_site_quarantined_ratio{_IN}"), "put aside"),
        Query(_site(f"anamnesis_site_quarantine_limit_ratio{_IN}"), "limit"),
        units=("bool_yes_no", "short", "s", "s", "percentunit", "percentunit"),
        description="Files put aside: after the first ingest.",
        empty="There is no Site yet.",
    ),
)
_OPERATOR = (
    stat("Leads", "sum(anamnesis_operator_leader)", description="1: exactly one replica leads."),
    stat("Replicas", "count(anamnesis_operator_build_info)"),
    stat("Youngest replica runs for", "min(time() - anamnesis_operator_started_timestamp_seconds)", "s"),
    stat("Wait to be brought in order", "sum(anamnesis_operator_queue_depth)"),
    stat("Unread resources", "max(anamnesis_operator_unread_resources)", bad=True),
    stat("Watches: oldest sign of life", "max(anamnesis_operator_watch_age_seconds)", "s"),
    lines(
        "Bringing in order",
        Query(f"sum by (kind, result) (rate({_COUNT}[5m]))", "{{kind}} {{result}}"),
        unit="ops",
        width=8,
        empty="Nothing was there to do yet.",
    ),
    lines(
        "How long it takes, 95 of 100",
        Query(f"histogram_quantile(0.95, sum by (kind, le) (rate({_BUCKET}[5m])))", "{{kind}}"),
        unit="s",
        width=8,
        empty="Nothing was there to do yet.",
    ),
    lines(
        "Memory",
        Query("process_resident_memory_bytes and on (instance, job) anamnesis_operator_build_info", "{{instance}}"),
        unit="bytes",
        width=8,
    ),
)

FLEET = Dashboard(
    uid="anamnesis-fleet",
    title="Anamnesis / Fleet",
    description="All models: what needs somebody, how well each does, and how the operator is.",
    variables={"namespace": "label_values(anamnesis_model_info, namespace)"},
    every=True,
    rows={
        "Now": _NOW,
        "Models and their tasks": (*_TASKS, *_OVER_TIME),
        "Alerts": _ALERTS,
        "Sites": _SITES,
        "The operator": _OPERATOR,
    },
    period="7d",
)
