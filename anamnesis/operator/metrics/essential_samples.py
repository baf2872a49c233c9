"""The samples of a model that the alerts need: what is exported where there are many models."""

from collections.abc import Iterable, Iterator

from anamnesis.operator.api import ContinualModel, condition_types
from anamnesis.operator.api.status import TaskStatus
from anamnesis.operator.metrics.status_samples import MetricSample

_ALWAYS = {
    "model_info",
    "model_log_entries",
    "model_champion_promoted_timestamp_seconds",
    "model_evaluation_due_timestamp_seconds",
    "model_site_state",
    "model_update_started_timestamp_seconds",
    "model_update_attempt",
    "model_awaiting_approval_timestamp_seconds",
}
_WHERE_NOT_ZERO = {
    "model_suspended",
    "model_decisions_total",
    "model_approvals",
    "model_update_failures",
    "model_site_quarantined_ratio",
}
_MAIN_CONDITIONS = (condition_types.READY, condition_types.PROGRESSING, condition_types.STALLED)
_NORMAL_STATUS = {condition_types.READY: "True", condition_types.BACKEND_REACHABLE: "True"}
"""Condition -> its status where nothing is wrong; False for all others."""


def essential_samples(model: ContinualModel, samples: Iterable[MetricSample]) -> Iterator[MetricSample]:
    """Yields those of the samples of a model that an alert may need now.

    These are few where nothing is wrong: the reasons of the main conditions, the state of each site, the score of each
    task. A condition that reports a problem, and a task outside its limits, have all their series.
    """
    abnormal_conditions = {
        condition.type
        for condition in model.status.conditions
        if condition.status != _NORMAL_STATUS.get(condition.type, "False")
    }
    failing_tasks = {(task.site, task.task) for task in model.status.tasks if _is_outside_limits(task)}
    for name, labels, value in samples:
        if (
            name in _ALWAYS
            or (name in _WHERE_NOT_ZERO and value)
            or (name == "model_update_deadline_seconds" and model.status.update)
            or (
                name == "model_condition" and value and labels[2] in abnormal_conditions - {condition_types.PROGRESSING}
            )
            or (name == "model_condition_reason" and labels[2] in {*abnormal_conditions, *_MAIN_CONDITIONS})
            or (name == "task_score_ratio" and labels[4] == "frozen")
            or (name == "task_info" and labels[5] == "lower")
            or (name.startswith("task_") and labels[2:4] in failing_tasks)
        ):
            yield name, labels, value


def _is_outside_limits(task: TaskStatus) -> bool:
    has_moved_maps = (
        task.saliency is not None and task.saliency_floor is not None and task.saliency < task.saliency_floor
    )
    return task.is_beyond_limit or task.is_drifting or task.is_forgotten or has_moved_maps
