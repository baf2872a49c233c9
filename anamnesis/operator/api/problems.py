"""What is wrong with a resource, and the conditions ``Reconciling`` and ``Stalled`` that tools read.

Flux, Argo CD and others (the rules of kstatus) read a resource so: ``Stalled`` is a failure, ``Reconciling`` is
progress, and neither is a resource in the state that its spec asks for. Never both are True. A server or a resource
that is away may come back, so it is progress at first, and a failure after ``OUTAGE_PATIENCE``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from anamnesis.operator.api import reasons
from anamnesis.operator.api.condition_types import RECONCILING, STALLED
from anamnesis.operator.api.conditions import Condition, make_condition
from anamnesis.operator.api.status import DeclaredResourceStatus

OUTAGE_PATIENCE = timedelta(minutes=5)
"""How long something may be away before it needs a person: a restart, or a tool that applies resources in any order."""


class Severity(IntEnum):
    """What a problem means for the resource; the most severe problem is shown."""

    FAILURE = 0
    """Nothing goes on until a person acts."""
    OUTAGE = 1
    """Something is away and may come back by itself; a failure when that takes too long."""
    NOTICE = 2
    """The resource does what it should, and a person should look, or is asked to decide."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, or that a person is asked to do.

    Attributes:
        severity: see ``Severity``.
        reason: one stable word.
        message: what is wrong, and what to do.
    """

    severity: Severity
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Health:
    """The most severe problem of a resource in its conditions.

    Attributes:
        conditions: ``Reconciling`` and ``Stalled``, without times. The message of ``Stalled`` is the problem, also
            while it is False: a column of kubectl shows it.
        problem_time: since when the problem is there; none where there is none.
    """

    conditions: tuple[Condition, Condition]
    problem_time: datetime | None


def judge(
    status: DeclaredResourceStatus,
    generation: int,
    *,
    ready: Condition,
    problems: Iterable[Problem],
    now: datetime,
    progress: str = "",
) -> Health:
    """Returns the health of a resource.

    Args:
        status: its status so far.
        generation: of its spec.
        ready: its condition ``Ready`` now.
        problems: all of them, the more important one first among those of one severity.
        now: the time, UTC.
        progress: what a resource waits for that is not ready and has no problem.
    """
    problem = _joined(sorted(problems, key=lambda problem: problem.severity))
    if problem is None:
        stalled = make_condition(STALLED, False, reasons.NOTHING_TO_DO)  # no message: a column of kubectl shows it
        return Health((_reconciling_condition(ready, progress), stalled), None)
    since = _problem_since(status, generation, problem.reason) or now.replace(microsecond=0)
    is_outage = problem.severity is Severity.OUTAGE and now < since + OUTAGE_PATIENCE
    is_stalled = problem.severity is not Severity.NOTICE and not is_outage
    if is_stalled:
        reconciling = make_condition(RECONCILING, False, reasons.WAITS_FOR_A_PERSON)
    elif is_outage:
        reconciling = make_condition(RECONCILING, True, problem.reason, problem.message)
    else:
        reconciling = _reconciling_condition(ready, problem.message)
    return Health((reconciling, make_condition(STALLED, is_stalled, problem.reason, problem.message)), since)


def stalls_at(status: DeclaredResourceStatus) -> datetime | None:
    """Returns when the outage that a status shows becomes a failure; none where there is no outage."""
    reconciling, stalled = status.condition(RECONCILING), status.condition(STALLED)
    if not (reconciling and stalled and status.problem_time) or reconciling.status != "True":
        return None
    is_outage = reconciling.reason == stalled.reason
    return status.problem_time + OUTAGE_PATIENCE if is_outage else None


def _reconciling_condition(ready: Condition, progress: str) -> Condition:
    """A resource that is not ready, and needs no person, is on its way."""
    if ready.status == "True":
        return make_condition(RECONCILING, False, reasons.NOTHING_TO_DO)
    return make_condition(RECONCILING, True, ready.reason, progress or ready.message)


def _joined(problems: list[Problem]) -> Problem | None:
    """The most severe problem; notices are shown together, because each asks for something else."""
    if not problems or problems[0].severity is not Severity.NOTICE:
        return problems[0] if problems else None
    messages = dict.fromkeys(problem.message for problem in problems)
    return Problem(Severity.NOTICE, problems[0].reason, "; ".join(messages))


def _problem_since(status: DeclaredResourceStatus, generation: int, reason: str) -> datetime | None:
    """Since when this problem is there; a changed spec has its own time."""
    stalled = status.condition(STALLED)
    is_same_problem = stalled is not None and stalled.reason == reason and status.observed_generation == generation
    return status.problem_time if is_same_problem else None
