"""The dashboard of one model: the score on each task, over versions and time; sites, updates, approvals, decisions."""

from anamnesis.operator.metrics.dashboards.grafana import Dashboard, DashboardPanel, Query
from anamnesis.operator.metrics.dashboards.panels import line_panel, stat_panel, state_panel, table_panel

_MODEL_MATCHERS = 'namespace="$namespace",model="$model"'
_MODEL_SELECTOR = f"{{{_MODEL_MATCHERS}}}"
_SERIES_NAME = "{{site}} {{task}}"
_FROZEN_SELECTOR = f'{{{_MODEL_MATCHERS},evaluation_set="frozen"}}'
_RECENT_SELECTOR = f'{{{_MODEL_MATCHERS},evaluation_set="recent"}}'
_NO_CHAMPION_TEXT = "The model has no champion yet."
_NO_CASES_TEXT = "No scheduled evaluation has found enough new cases yet."
_NO_UPDATE_TEXT = "No update has started yet."
_NOT_RECONCILED_TEXT = "The operator has not reconciled the model yet."
_CHAMPION_QUERY = f"max by (namespace, model, champion) (anamnesis_model_info{_MODEL_SELECTOR})"


def _task_query(metric: str, selector: str = _MODEL_SELECTOR) -> str:
    return f"max by (site, task) (anamnesis_task_{metric}{selector})"


def _model_query(metric: str, by: str = "site") -> str:
    return f"max by ({by}) (anamnesis_model_{metric}{_MODEL_SELECTOR})"


def _score_panel(
    title: str, *, selector: str, limit: str, may_be_empty: bool, description: str, empty_text: str
) -> DashboardPanel:
    return line_panel(
        title,
        Query(_task_query("score_ratio", selector), _SERIES_NAME, may_be_empty),
        Query(_task_query("score_low_ratio", selector), f"{_SERIES_NAME}, low", True),
        Query(_task_query("score_high_ratio", selector), f"{_SERIES_NAME}, high", True),
        Query(_task_query(limit), f"{_SERIES_NAME}, floor", True),
        Query(_task_query("ceiling_ratio"), f"{_SERIES_NAME}, ceiling", True),
        unit="none",
        description=f"{description} Low and high: bounds of its 95 % confidence interval, where it was computed. A "
        "metric where lower is better has a ceiling instead of a floor; anamnesis_task_info names the unit.",
        empty_text=empty_text,
    )


def _version_matrix_panel() -> DashboardPanel:
    version_query = (
        "max by (site, task, champion) (last_over_time(("
        f"max by (namespace, model, site, task) (anamnesis_task_score_ratio{_FROZEN_SELECTOR})"
        f" * on (namespace, model) group_left (champion) {_CHAMPION_QUERY})[$__range:$__interval]))"
    )
    matrix_options = {"rowField": "site", "columnField": "champion", "valueField": "Value", "emptyValue": "null"}
    return DashboardPanel(
        "Score of each version",
        "table",
        (Query(version_query),),
        description="The score on each site's frozen test set while a version was champion, within the time range: a "
        "row for each site, a column for each version.",
        unit="none",
        width=24,
        transformations=({"id": "groupingToMatrix", "options": matrix_options},),
        empty_text=_NO_CHAMPION_TEXT,
    )


_SUMMARY_PANELS = (
    DashboardPanel(
        "Champion",
        "stat",
        (Query(_CHAMPION_QUERY.replace("}", ',champion!=""}'), "{{champion}}"),),
        description="The first digits of its digest. Empty until a version is promoted.",
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
        "Waiting for approval for",
        f"time() - max(anamnesis_model_awaiting_approval_timestamp_seconds{_MODEL_SELECTOR})",
        "s",
        "Empty where no version waits.",
        empty_text="no version waits",
        may_be_empty=True,
    ),
    stat_panel(
        "Time since the last evaluation",
        f"time() - max(anamnesis_model_evaluation_timestamp_seconds{_MODEL_SELECTOR})",
        "s",
        "Empty before the champion's first scheduled evaluation.",
        empty_text="not yet",
        may_be_empty=True,
    ),
    stat_panel(
        "Firing alerts",
        f'count(ALERTS{{{_MODEL_MATCHERS},alertname=~"Anamnesis.*",alertstate="firing"}}) or vector(0)',
        red_above_zero=True,
    ),
)
_TASK_PANELS = (
    _score_panel(
        "Frozen test sets",
        selector=_FROZEN_SELECTOR,
        limit="floor_ratio",
        may_be_empty=False,
        description="The champion's primary metric.",
        empty_text=_NO_CHAMPION_TEXT,
    ),
    _score_panel(
        "Recent cases",
        selector=_RECENT_SELECTOR,
        limit="recent_floor_ratio",
        may_be_empty=True,
        description="Empty until a scheduled evaluation found enough new cases.",
        empty_text=_NO_CASES_TEXT,
    ),
    _version_matrix_panel(),
    line_panel(
        "Forgetting",
        Query(_task_query("forgotten_ratio"), _SERIES_NAME),
        Query(_task_query("margin_ratio"), f"{_SERIES_NAME}, margin"),
        unit="none",
        description="How much worse each task scores than the first accepted version, in the unit of its metric. Above "
        "the margin, an alert fires.",
        empty_text=_NO_CHAMPION_TEXT,
    ),
    line_panel(
        "Overlap of saliency maps",
        Query(_task_query("saliency_ratio"), _SERIES_NAME, True),
        Query(_task_query("saliency_floor_ratio"), f"{_SERIES_NAME}, floor", True),
        description="Overlap (IoU) of the saliency maps with those of the version that learned the task. "
        "Empty where it was not measured.",
        empty_text="The overlap has not been measured yet.",
    ),
)
_UPDATE_PANELS = (
    state_panel(
        "State of each site",
        Query(_model_query("site_state", "site, state"), "{{site}}: {{state}}"),
        description="docs/operator.md explains the states.",
        width=24,
        empty_text=_NOT_RECONCILED_TEXT,
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
        "Duration of the last run",
        Query(_model_query("update_duration_seconds"), "{{site}}"),
        unit="s",
        description="Wall time of the last completed run of each site. Empty until a run has ended.",
        empty_text="No run has ended yet.",
        width=8,
    ),
    line_panel(
        "Consecutive failures",
        Query(_model_query("update_failures"), "{{site}}"),
        unit="short",
        width=8,
        empty_text=_NO_UPDATE_TEXT,
    ),
    line_panel(
        "Age of the update in flight",
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
        Query(_model_query("site_quarantined"), "quarantined"),
        Query(_model_query("site_quarantined_ratio"), "share quarantined"),
        Query(f"time() - {_model_query('site_learned_timestamp_seconds')}", "time since learned"),
        units=("short", "short", "percentunit", "s"),
        description="Content of the last snapshot of each site, and the time since the model learned from the site.",
        empty_text=_NOT_RECONCILED_TEXT,
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
        description="docs/operator.md explains the conditions and reasons.",
        width=24,
        empty_text=_NOT_RECONCILED_TEXT,
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
