"""Reads a run as Kubeflow Pipelines tells it. Pure."""

from datetime import UTC, datetime
from typing import Any

from anamnesis.operator.backends.base import Run, RunState

_STATES = {
    "RUNNING": RunState.RUNNING,
    "PAUSED": RunState.RUNNING,
    "CANCELING": RunState.RUNNING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "SKIPPED": RunState.FAILED,  # nothing of it ran
    "FAILED": RunState.FAILED,
    "CANCELED": RunState.CANCELLED,
}


def run_of(one: Any) -> Run:
    """Returns what a ``V2beta1Run`` says; one without a known state is pending.

    Pipelines 2.0 tells a run that was ended as failed, and nowhere that it was ended.
    """
    state = _STATES.get(one.state or "", RunState.PENDING)
    finished = one.finished_at if state.final and one.finished_at and one.finished_at.timestamp() > 0 else None
    return Run(
        id=one.run_id,
        name=one.display_name,
        state=state,
        created=_utc(one.created_at),
        message=_message(one) if state is RunState.FAILED else "",
        finished=_utc(finished) if finished else None,
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _message(one: Any) -> str:
    """Names the tasks that failed, the innermost first; never what they print."""
    details = one.run_details.task_details if one.run_details else None
    failed = [task for task in details or () if task.state == "FAILED" and not _wraps(task)]
    names = [
        str(task.display_name) for task in sorted(failed, key=lambda task: (str(task.end_time), task.display_name))
    ]
    return f"failed: {', '.join(names)}" if names else f"Kubeflow says {one.state} and names no task"


def _wraps(task: Any) -> bool:
    """Whether it is Kubeflow's own: the pod around a step, the whole graph, the workflow (its pods bear its name)."""
    pods = [str(child.pod_name) for child in task.child_tasks or ()]
    return task.display_name in ("root", "executor") or any(pod.startswith(f"{task.display_name}-") for pod in pods)
