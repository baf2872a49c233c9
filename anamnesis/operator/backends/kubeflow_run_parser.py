"""Parses a run as Kubeflow Pipelines reports it. Pure."""

from datetime import UTC, datetime
from typing import Any

from anamnesis.operator.backends.base import Run, RunState

_RUN_STATES = {
    "RUNNING": RunState.RUNNING,
    "PAUSED": RunState.RUNNING,
    "CANCELING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "SKIPPED": RunState.FAILED,  # no step ran
    "FAILED": RunState.FAILED,
    "CANCELED": RunState.CANCELLED,
}


def parse_run(api_run: Any) -> Run:
    """Returns the run of a ``V2beta1Run``; a run with an unknown state is pending.

    Pipelines 2.0 reports a cancelled run as failed, and nowhere that it was cancelled.
    """
    state = _RUN_STATES.get(api_run.state or "", RunState.PENDING)
    finished_at = (
        api_run.finished_at if state.is_final and api_run.finished_at and api_run.finished_at.timestamp() > 0 else None
    )
    return Run(
        id=api_run.run_id,
        name=api_run.display_name,
        state=state,
        created_at=_to_utc(api_run.created_at),
        message=_failure_message(api_run) if state is RunState.FAILED else "",
        finished_at=_to_utc(finished_at) if finished_at else None,
    )


def _to_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _failure_message(api_run: Any) -> str:
    """Names the failed tasks, the innermost first; never their output."""
    details = api_run.run_details.task_details if api_run.run_details else None
    failed_tasks = [task for task in details or () if task.state == "FAILED" and not _is_wrapper_task(task)]
    names = [
        str(task.display_name)
        for task in sorted(failed_tasks, key=lambda task: (str(task.end_time), task.display_name))
    ]
    return (
        f"failed steps: {', '.join(names)}" if names else f"Kubeflow reports {api_run.state} and names no failed step"
    )


def _is_wrapper_task(task: Any) -> bool:
    """Whether the task is Kubeflow's own: the pod around a step, the graph, or the workflow (named like its pods)."""
    pod_names = [str(child.pod_name) for child in task.child_tasks or ()]
    return task.display_name in ("root", "executor") or any(
        pod_name.startswith(f"{task.display_name}-") for pod_name in pod_names
    )
