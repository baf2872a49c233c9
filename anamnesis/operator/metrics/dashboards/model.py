"""One model: how well it does on each task, over versions and time; its sites, updates, approvals, decisions."""

from anamnesis.operator.metrics.dashboards.grafana import Dashboard, DashboardPanel, Query
from anamnesis.operator.metrics.dashboards.panels import line_panel, stat_panel, state_panel, table_panel

_MODEL_MATCHERS = 'namespace="$namespace",model="$model"'
_MODEL_SELECTOR = f"{{{_MODEL_MATCHERS}}}"
_SERIES_NAME = "{{site}} {{task}}"
_FROZEN_SELECTOR, _RECENT_SELECTOR = f'{{{_MODEL_MATCHERS},window="frozen"}}', f'{{{_MODEL_MATCHERS},window="recent"}}'
_NO_CHAMPION_TEXT, _NO_CASES_TEXT = (
    "The model has no champion yet.",
    "No scheduled evaluation has found enough new cases yet.",
)
_NO_UPDATE_TEXT = "No update has begun yet."
_CHAMPION_QUERY = f"max by (namespace, model, champion) (anamnesis_model_info{_MODEL_SELECTOR})"


def _task_query(metric: str, selector: str = _MODEL_SELECTOR) -> str:
    return f"max by (site, task) (anamnesis_task_{metric}{selector})"


def _model_query(metric: str, by: str = "site") -> str:
    return f"max by ({by}) (anamnesis_model_{metric}{_MODEL_SELECTOR})"


def _score_panel(
    title: str, selector: str, limit: str, may_be_empty: bool, description: str, empty: str
) -> DashboardPanel:
    return line_panel(
        title,
        Query(_task_query("score_ratio", selector), _SERIES_NAME, may_be_empty),
        Query(_task_query("score_low_ratio", selector), f"{_SERIES_NAME}, low", True),
        Query(_task_query("score_high_ratio", selector), f"{_SERIES_NAME}, high", True),
        Query(_task_query(limit), f"{_SERIES_NAME}, floor"),
        description=f"{description} Low and high bound its 95 % interval, where it was computed.",
        empty_text=empty,
    )


def _version_matrix_panel() -> DashboardPanel:
    version_query = (
        "max by (site, task, champion) (last_over_time(("
        f"max by (namespace, model, site, task) (anamnesis_task_score_ratio{_FROZEN_SELECTOR})"
        f" * on (namespace, model) group_left (champion) {_CHAMPION_QUERY})[$__range:$__interval]))"
    )
    matrix_options = {"rowField": "site", "columnField": "champion", "valueField": "Value", "emptyValue": "null"}
    return DashboardPanel(
        "Accuracy of each version",
        "table",
        (Query(version_query),),
        "The score on each site's frozen test set while a version was champion, in the time that is shown: a line for "
        "each site, a column for each version.",
        "percentunit",
        24,
        transformations=({"id": "groupingToMatrix", "options": matrix_options},),
        empty_text=_NO_CHAMPION_TEXT,
    )


_SUMMARY_PANELS = (
    DashboardPanel(
        "Champion",
        "stat",
        (Query(_CHAMPION_QUERY.replace("}", ',champion!=""}'), "{{champion}}"),),
        "The start of its digest. Empty until one is promoted.",
        width=8,
        height=4,
        options={"textMode": "name"},
        empty_text="none yet",
    ),
    stat_panel(
        "In use for",
        f"time() - max(anamnesis_model_champion_promoted_timestamp_seconds{_MODEL_SELECTOR})",
        "s",
        "Empty without a champion.",
        empty_text="no champion",
    ),
    stat_panel(
        "Waits for approval for",
        f"time() - max(anamnesis_model_awaiting_approval_timestamp_seconds{_MODEL_SELECTOR})",
        "s",
        "Empty where nothing waits.",
        empty_text="nothing waits",
        may_be_empty=True,
    ),
    stat_panel(
        "Evaluated ago",
        f"time() - max(anamnesis_model_evaluation_timestamp_seconds{_MODEL_SELECTOR})",
        "s",
        "Empty before the champion's first scheduled evaluation.",
        empty_text="not yet",
        may_be_empty=True,
    ),
    stat_panel(
        "Alerts that fire",
        f'count(ALERTS{{{_MODEL_MATCHERS},alertname=~"Anamnesis.*",alertstate="firing"}}) or vector(0)',
        red_above_zero=True,
    ),
)
_TASK_PANELS = (
    _score_panel(
        "Frozen test sets",
        _FROZEN_SELECTOR,
        "floor_ratio",
        False,
        "The champion's primary metric.",
        _NO_CHAMPION_TEXT,
    ),
    _score_panel(
        "Recent cases",
        _RECENT_SELECTOR,
        "recent_floor_ratio",
        True,
        "Empty until a scheduled evaluation found enough new cases.",
        _NO_CASES_TEXT,
    ),
    _version_matrix_panel(),
    line_panel(
        "Forgotten",
        Query(_task_query("forgotten_ratio"), _SERIES_NAME),
        Query(_task_query("margin_ratio"), f"{_SERIES_NAME}, margin"),
        description="How far each task fell below the best that any promoted version had. Above its margin is too far.",
        empty_text=_NO_CHAMPION_TEXT,
    ),
    line_panel(
        "Saliency that is kept",
        Query(_task_query("saliency_ratio"), _SERIES_NAME, True),
        Query(_task_query("saliency_floor_ratio"), f"{_SERIES_NAME}, floor", True),
        description="Overlap of the saliency maps with those of the version that had just learned the task. "
        "Empty where it was not measured.",
        empty_text="It was not measured yet.",
    ),
)
_UPDATE_PANELS = (
    state_panel(
        "Where each site stands",
        Query(_model_query("site_state", "site, state"), "{{site}}: {{state}}"),
        description="docs/operator.md explains the words.",
        width=24,
        empty_text="The operator has not looked at the model yet.",
    ),
    line_panel(
        "Updates by state",
        Query(_model_query("updates", "state"), "{{state}}"),
        unit="short",
        width=8,
        empty_text=_NO_UPDATE_TEXT,
    ),
    line_panel("Decisions", Query(_model_query("decisions_total", "result"), "{{result}}"), unit="short", width=8),
    line_panel("Approvals", Query(_model_query("approvals", "result"), "{{result}}"), unit="short", width=8),
    line_panel(
        "Cost: how long the last run took",
        Query(_model_query("update_duration_seconds"), "{{site}}"),
        unit="s",
        description="Wall time of the last run of each site that ended. Empty until one has.",
        empty_text="No run has ended yet.",
        width=8,
    ),
    line_panel(
        "Failed in a row",
        Query(_model_query("update_failures"), "{{site}}"),
        unit="short",
        width=8,
        empty_text=_NO_UPDATE_TEXT,
    ),
    line_panel(
        "In flight since",
        Query(f"time() - {_model_query('update_started_timestamp_seconds')}", "{{site}}", True),
        unit="s",
        description="Empty while no update is in flight.",
        empty_text="No update is in flight.",
        width=8,
    ),
)
_DATA_PANELS = (
    table_panel(
        "Sites",
        Query(_model_query("site_samples"), "samples"),
        Query(_model_query("site_quarantined"), "put aside"),
        Query(_model_query("site_quarantined_ratio"), "share put aside"),
        Query(f"time() - {_model_query('site_learned_timestamp_seconds')}", "learned before"),
        units=("short", "short", "percentunit", "s"),
        description="What the last snapshot of each site holds, and how long ago it was learned.",
        empty_text="The operator has not looked at the model yet.",
        width=12,
    ),
    line_panel(
        "Samples",
        Query(_model_query("site_samples"), "{{site}}"),
        unit="short",
        empty_text="No update has read data yet.",
    ),
)
_CONDITION_PANELS = (
    state_panel(
        "Conditions",
        Query(_model_query("condition_reason", "type, reason"), "{{type}}: {{reason}}"),
        description="docs/operator.md explains the words.",
        width=24,
        empty_text="The operator has not looked at the model yet.",
    ),
)

MODEL_DASHBOARD = Dashboard(
    uid="anamnesis-model",
    title="Anamnesis / Model",
    description="One model: its tasks over versions and time, its sites, updates, approvals and decisions.",
    variables={
        "namespace": "label_values(anamnesis_model_info, namespace)",
        "model": 'label_values(anamnesis_model_info{namespace="$namespace"}, model)',
    },
    allows_all_values=False,
    rows={
        "Now": _SUMMARY_PANELS,
        "Tasks": _TASK_PANELS,
        "Updates and approvals": _UPDATE_PANELS,
        "Data": _DATA_PANELS,
        "Conditions": _CONDITION_PANELS,
    },
    period="30d",
)
