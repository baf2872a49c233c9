"""Parses a run as Kubeflow Pipelines reports it. Pure."""

from datetime import UTC, datetime
from typing import Any

from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.backends.kubeflow_tasks import failed_steps, waiting_pod

_RUN_STATES = {
    "RUNNING": RunState.RUNNING,
    "PAUSED": RunState.RUNNING,
    "CANCELING": RunState.CANCELLING,
    "SUCCEEDED": RunState.SUCCEEDED,
    "SKIPPED": RunState.FAILED,  # no step ran
    "FAILED": RunState.FAILED,
    "CANCELED": RunState.CANCELLED,
}


def parse_run(api_run: Any) -> Run:
    """Returns the run of a ``V2beta1Run``; a run with an unknown state is pending.

    Pipelines 2.0 to 2.16 report a cancelled run as failed; only its history says that it was being cancelled.
    """
    state = _RUN_STATES.get(api_run.state or "", RunState.PENDING)
    cancelling_since = _cancelling_since(api_run)
    if state is RunState.FAILED and cancelling_since:
        state = RunState.CANCELLED
    tasks = (api_run.run_details.task_details if api_run.run_details else None) or ()
    pod = waiting_pod(tasks) if state in (RunState.PENDING, RunState.RUNNING) else None
    has_no_task = not tasks and state is RunState.PENDING
    return Run(
        id=api_run.run_id,
        name=api_run.display_name,
        state=state,
        created_at=_to_utc(api_run.created_at),
        message=_failure_message(api_run.state, failed_steps(tasks)) if state is RunState.FAILED else "",
        finished_at=_finished_at(api_run) if state.is_final else None,
        waiting_step=pod.step if pod else "",
        waiting_since=_to_utc(pod.since) if pod else _to_utc(api_run.created_at) if has_no_task else None,
        cancelling_since=cancelling_since,
    )


def _to_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _finished_at(api_run: Any) -> datetime:
    """When a run ended. A server may not know it: then the last change of its state, or its creation, stands for it.

    Without a time that stays, the wait for the next attempt would start again at every look, and never end.
    """
    times = [api_run.finished_at, *(status.update_time for status in reversed(api_run.state_history or ()))]
    return _to_utc(next((time for time in times if time and time.timestamp() > 0), api_run.created_at))


def _cancelling_since(api_run: Any) -> datetime | None:
    """When the server learned that the run was being cancelled; it keeps this also of a run that is called failed."""
    times = [status.update_time for status in api_run.state_history or () if status.state == "CANCELING"]
    return _to_utc(times[-1]) if times else None


def _failure_message(state: str, steps: list[str]) -> str:
    return f"failed steps: {', '.join(steps)}" if steps else f"Kubeflow reports {state} and names no failed step"
