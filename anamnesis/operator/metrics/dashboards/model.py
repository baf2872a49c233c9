"""One model: how well it does on each task, over versions and time; its sites, updates, approvals, decisions."""

from anamnesis.operator.metrics.dashboards.grafana import Dashboard, Panel, Query
from anamnesis.operator.metrics.dashboards.panels import lines, stat, states, table

_OF = 'namespace="$namespace",model="$model"'
_IN = f"{{{_OF}}}"
_NAME = "{{site}} {{task}}"
_FROZEN, _RECENT = f'{{{_OF},window="frozen"}}', f'{{{_OF},window="recent"}}'
_LEARNED, _CASES = "The model has no champion yet.", "No scheduled evaluation has found enough new cases yet."
_UPDATED = "No update has begun yet."
_INFO = f"max by (namespace, model, champion) (anamnesis_model_info{_IN})"


def _task(metric: str, selector: str = _IN) -> str:
    return f"max by (site, task) (anamnesis_task_{metric}{selector})"


def _of_sites(metric: str, by: str = "site") -> str:
    return f"max by ({by}) (anamnesis_model_{metric}{_IN})"


def _window(title: str, selector: str, limit: str, may_be_empty: bool, description: str, empty: str) -> Panel:
    return lines(
        title,
        Query(_task("score_ratio", selector), _NAME, may_be_empty),
        Query(_task("score_low_ratio", selector), f"{_NAME}, low", True),
        Query(_task("score_high_ratio", selector), f"{_NAME}, high", True),
        Query(_task(limit), f"{_NAME}, floor"),
        description=f"{description} Low and high bound its 95 % interval, where it was computed.",
        empty=empty,
    )


def _matrix() -> Panel:
    by_version = (
        "max by (site, task, champion) (last_over_time(("
        f"max by (namespace, model, site, task) (anamnesis_task_score_ratio{_FROZEN})"
        f" * on (namespace, model) group_left (champion) {_INFO})[$__range:$__interval]))"
    )
    matrix = {"rowField": "site", "columnField": "champion", "valueField": "Value", "emptyValue": "null"}
    return Panel(
        "Accuracy of each version",
        "table",
        (Query(by_version),),
        "The score on each site's frozen test set while a version was champion, in the time that is shown: a line for "
        "each site, a column for each version.",
        "percentunit",
        24,
        transformations=({"id": "groupingToMatrix", "options": matrix},),
        empty=_LEARNED,
    )


_NOW = (
    Panel(
        "Champion",
        "stat",
        (Query(_INFO.replace("}", ',champion!=""}'), "{{champion}}"),),
        "The start of its digest. Empty until one is promoted.",
        width=8,
        height=4,
        options={"textMode": "name"},
        empty="none yet",
    ),
    stat(
        "In use for",
        f"time() - max(anamnesis_model_champion_promoted_timestamp_seconds{_IN})",
        "s",
        "Empty without a champion.",
        empty="no champion",
    ),
    stat(
        "Waits for approval for",
        f"time() - max(anamnesis_model_awaiting_approval_timestamp_seconds{_IN})",
        "s",
        "Empty where nothing waits.",
        empty="nothing waits",
        may_be_empty=True,
    ),
    stat(
        "Evaluated ago",
        f"time() - max(anamnesis_model_evaluation_timestamp_seconds{_IN})",
        "s",
        "Empty before the champion's first scheduled evaluation.",
        empty="not yet",
        may_be_empty=True,
    ),
    stat(
        "Alerts that fire",
        f'count(ALERTS{{{_OF},alertname=~"Anamnesis.*",alertstate="firing"}}) or vector(0)',
        bad=True,
    ),
)
_ACCURACY = (
    _window(
        "Frozen test sets",
        _FROZEN,
        "floor_ratio",
        False,
        "The champion's primary metric.",
        _LEARNED,
    ),
    _window(
        "Recent cases",
        _RECENT,
        "recent_floor_ratio",
        True,
        "Empty until a scheduled evaluation found enough new cases.",
        _CASES,
    ),
    _matrix(),
    lines(
        "Forgotten",
        Query(_task("forgotten_ratio"), _NAME),
        Query(_task("margin_ratio"), f"{_NAME}, margin"),
        description="How far each task fell below the best that any promoted version had. Above its margin is too far.",
        empty=_LEARNED,
    ),
    lines(
        "Saliency that is kept",
        Query(_task("saliency_ratio"), _NAME, True),
        Query(_task("saliency_floor_ratio"), f"{_NAME}, floor", True),
        description="Overlap of the saliency maps with those of the version that had just learned the task. "
        "Empty where it was not measured.",
        empty="It was not measured yet.",
    ),
)
_UPDATES = (
    states(
        "Where each site stands",
        Query(_of_sites("site_state", "site, state"), "{{site}}: {{state}}"),
        description="docs/operator.md explains the words.",
        width=24,
        empty="The operator has not looked at the model yet.",
    ),
    lines("Updates by state", Query(_of_sites("updates", "state"), "{{state}}"), unit="short", width=8, empty=_UPDATED),
    lines("Decisions", Query(_of_sites("decisions_total", "result"), "{{result}}"), unit="short", width=8),
    lines("Approvals", Query(_of_sites("approvals", "result"), "{{result}}"), unit="short", width=8),
    lines(
        "Cost: how long the last run took",
        Query(_of_sites("update_duration_seconds"), "{{site}}"),
        unit="s",
        description="Wall time of the last run of each site that ended. Empty until one has.",
        empty="No run has ended yet.",
        width=8,
    ),
    lines("Failed in a row", Query(_of_sites("update_failures"), "{{site}}"), unit="short", width=8, empty=_UPDATED),
    lines(
        "In flight since",
        Query(f"time() - {_of_sites('update_started_timestamp_seconds')}", "{{site}}", True),
        unit="s",
        description="Empty while no update is in flight.",
        empty="No update is in flight.",
        width=8,
    ),
)
_DATA = (
    table(
        "Sites",
        Query(_of_sites("site_samples"), "samples"),
        Query(_of_sites("site_quarantined"), "put aside"),
        Query(_of_sites("site_quarantined_ratio"), "share put aside"),
        Query(f"time() - {_of_sites('site_learned_timestamp_seconds')}", "learned before"),
        units=("short", "short", "percentunit", "s"),
        description="What the last snapshot of each site holds, and how long ago it was learned.",
        empty="The operator has not looked at the model yet.",
        width=12,
    ),
    lines("Samples", Query(_of_sites("site_samples"), "{{site}}"), unit="short", empty="No update has read data yet."),
)
_CONDITIONS = (
    states(
        "Conditions",
        Query(_of_sites("condition_reason", "type, reason"), "{{type}}: {{reason}}"),
        description="docs/operator.md explains the words.",
        width=24,
        empty="The operator has not looked at the model yet.",
    ),
)

MODEL = Dashboard(
    uid="anamnesis-model",
    title="Anamnesis / Model",
    description="One model: its tasks over versions and time, its sites, updates, approvals and decisions.",
    variables={
        "namespace": "label_values(anamnesis_model_info, namespace)",
        "model": 'label_values(anamnesis_model_info{namespace="$namespace"}, model)',
    },
    every=False,
    rows={
        "Now": _NOW,
        "Tasks": _ACCURACY,
        "Updates and approvals": _UPDATES,
        "Data": _DATA,
        "Conditions": _CONDITIONS,
    },
    period="30d",
)
