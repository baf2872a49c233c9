"""The end of a run: who ended it, whether it counts as failed, and whether its back end has lost sight of it.

A back end says that a run is being ended, or was, and not by whom. The operator ends runs for a few causes, which are
recognised here; otherwise a person ended the run. What the status of a resource has about the run was judged before and
stays, also where the field that it was judged by has changed since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.backends.base import CancelCause, Run, RunState

CANCEL_GRACE = timedelta(minutes=5)
"""How long a back end may take to end a run. A run that lives on after this time counts as failed."""
_UNCOUNTED_CAUSES = (CancelCause.OUTDATED, CancelCause.NOT_NEEDED)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What the status of a resource has about a run.

    Attributes:
        id: of the run on its back end.
        state: as it was judged; none where it was not.
        message: why the run failed.
        cancelling_since: when the operator first saw that somebody ended the run, or none.
        cancel_cause: why the operator ended it; none where it did not.
    """

    id: str
    state: RunState | None = None
    message: str = ""
    cancelling_since: datetime | None = None
    cancel_cause: CancelCause | None = None


def judge_runs(
    spec: ContinualModelSpec, runs: Sequence[Run], recorded_run: RecordedRun | None, now: datetime
) -> tuple[Run, ...]:
    """Returns the runs with the state that counts, and with the cause where the operator ended them.

    Args:
        spec: of the model.
        runs: as the back end reports them, in the order of their numbers.
        recorded_run: what the status has about one of them, or none.
        now: the time, UTC.
    """
    judged_runs = []
    for run in runs:
        record = recorded_run if recorded_run and recorded_run.id == run.id else RecordedRun(run.id)
        judged_runs.append(_judge_run(spec, run, record, now, is_last=run is runs[-1]))
    return tuple(judged_runs)


def is_counted(run: Run) -> bool:
    """Whether an ended run counts as an attempt: its back end did not interrupt it, nor did the operator replace it."""
    return run.state is not RunState.INTERRUPTED and run.cancel_cause not in _UNCOUNTED_CAUSES


def is_overdue(spec: ContinualModelSpec, run: Run, time: datetime) -> bool:
    """Whether a run has taken longer than it may at a time."""
    return time - run.created_at >= parse_duration(spec.backend.run_deadline)


def _judge_run(spec: ContinualModelSpec, run: Run, record: RecordedRun, now: datetime, *, is_last: bool) -> Run:
    if run.state is RunState.FAILED and is_overdue(spec, run, run.finished_at or now):
        return replace(run, message=_deadline_message(spec), cancel_cause=CancelCause.DEADLINE)
    if run.state not in (RunState.CANCELLING, RunState.CANCELLED):
        return run
    if run.state is RunState.CANCELLING and not is_last:  # the next run started after this one was given up
        return replace(run, state=RunState.FAILED, finished_at=run.created_at)
    since = run.cancelling_since or record.cancelling_since or run.finished_at or now
    cause = record.cancel_cause
    if cause is None and record.state is None:
        cause = _find_cause(spec, run, since, is_last=is_last)
    run = replace(run, cancelling_since=since, cancel_cause=cause)
    if record.state is RunState.FAILED:
        finished_at = run.finished_at or since + CANCEL_GRACE
        return replace(run, state=RunState.FAILED, message=record.message, finished_at=finished_at)
    if run.state is RunState.CANCELLING:
        return _give_up(spec, run, since) if now - since >= CANCEL_GRACE else run
    if cause is CancelCause.DEADLINE:
        return replace(run, state=RunState.FAILED, message=_deadline_message(spec))
    return run


def _find_cause(spec: ContinualModelSpec, run: Run, since: datetime, *, is_last: bool) -> CancelCause | None:
    """Why the operator ended a run. After a person ended one, the update has no later run."""
    if is_overdue(spec, run, since):
        return CancelCause.DEADLINE
    if run.is_outdated:
        return CancelCause.OUTDATED
    return None if is_last else CancelCause.NOT_NEEDED


def _give_up(spec: ContinualModelSpec, run: Run, since: datetime) -> Run:
    """A run whose end nobody will report counts as failed, also where a person asked for its end."""
    cause = f"{_deadline_message(spec)}, and" if run.cancel_cause is CancelCause.DEADLINE else "somebody ended it, but"
    message = (
        f"{cause} the back end has not reported its end since {since:%Y-%m-%d %H:%M} UTC; its Workflow is gone, or its "
        "pods do not end"
    )
    return replace(run, state=RunState.FAILED, message=message, finished_at=since + CANCEL_GRACE)


def _deadline_message(spec: ContinualModelSpec) -> str:
    return f"it took longer than spec.backend.runDeadline ({spec.backend.run_deadline})"
