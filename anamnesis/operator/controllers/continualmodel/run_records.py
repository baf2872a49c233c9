"""What the statuses keep about runs, so that a judgement stays when the back end or the spec no longer shows why."""

from datetime import datetime

from anamnesis.operator.api.status import ContinualModelStatus, ModelUpdateStatus
from anamnesis.operator.backends.base import CancelCause, Run, RunState
from anamnesis.operator.plan.run_judgement import RecordedRun


def recorded_update_run(status: ModelUpdateStatus) -> RecordedRun | None:
    """Returns what the status of an update has about its last run, or none."""
    run = status.run
    if run is None:
        return None
    state = RunState(run.state)
    return RecordedRun(
        id=run.id,
        state=state if state.is_final else None,
        message=run.message,
        cancelling_since=run.cancelling_time,
        cancel_cause=CancelCause(run.cancel_cause) if run.cancel_cause else None,
    )


def recorded_evaluation_run(status: ContinualModelStatus) -> RecordedRun | None:
    """Returns what the status of a model has about the last run of its scheduled evaluation, or none."""
    evaluation = status.evaluation
    if not evaluation.run_id:
        return None
    return RecordedRun(id=evaluation.run_id, cancelling_since=evaluation.cancelling_time)


def cancelling_time(run: Run) -> datetime | None:
    """Returns when somebody asked for the end of a run, as a status has it, or none."""
    return run.cancelling_since.replace(microsecond=0) if run.cancelling_since else None
