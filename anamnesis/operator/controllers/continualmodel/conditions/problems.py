"""Everything that is wrong with a model, or that a person is asked to do: what the column PROBLEM shows."""

from collections.abc import Iterable, Iterator
from typing import Final

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import Condition
from anamnesis.operator.api.problems import Problem, Severity
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.plan import PlannedModelStatus, PlannedSiteStatus, SiteState, UpdateState
from anamnesis.records import UnreachableError
from anamnesis.registry import describe_withdrawal

STATES_THAT_NEED_A_PERSON: Final = frozenset(
    {
        SiteState.UNVERIFIED_PROMOTION,
        SiteState.FAILED,
        SiteState.UNREADABLE,
        SiteState.OUTSIDE_CHANGE_PLAN,
        SiteState.SOURCE_SHRANK,
        SiteState.STEP_NOT_STARTED,
    }
)
"""The site is not learned until a person acts. An unreadable one may come back."""
STATES_TO_LOOK_AT: Final = frozenset(
    {
        SiteState.AWAITING_APPROVAL,
        SiteState.AWAITING_EVALUATIONS,
        SiteState.REJECTED,
        SiteState.CLAIMED_ELSEWHERE,
        SiteState.WAITING_FOR_DATA,
    }
)
"""A person decides, or should know what the site waits for; the champion stays in use."""
_ABNORMAL_CONDITIONS: Final = (
    condition_types.FORGETTING,
    condition_types.DRIFTING,
    condition_types.TEST_PATIENT_RETURNED,
)
"""Conditions that a person looks at while they are True."""


def find_problems(
    state: ModelState, planned_status: PlannedModelStatus, conditions: Iterable[Condition]
) -> Iterator[Problem]:
    """Yields all problems of a model, the more important one first among those of one severity.

    Args:
        state: of the model, as it was read.
        planned_status: the status of the plan.
        conditions: the other conditions of the model.
    """
    if withdrawal := state.registry.history.withdrawal:
        yield Problem(Severity.FAILURE, reasons.WITHDRAWN, describe_withdrawal(withdrawal))
    if spec_problem := state.spec_problem or state.secret_problem:
        yield Problem(Severity.FAILURE, reasons.INVALID_SPEC, spec_problem)
    if backend_problem := state.backend_problem:
        is_away = backend_problem.reason == reasons.UNREACHABLE
        yield Problem(Severity.OUTAGE if is_away else Severity.FAILURE, backend_problem.reason, backend_problem.message)
    if state.store_error:
        is_away = isinstance(state.store_error, UnreachableError)
        yield Problem(
            Severity.OUTAGE if is_away else Severity.FAILURE, reasons.STORE_UNREADABLE, str(state.store_error)
        )
    yield from _problems_of_conditions(conditions)
    yield from _problems_of_sites(state, planned_status)
    yield from _problems_of_runs(planned_status)
    if state.model.resource.spec.state == "Suspended":
        message = "spec.state is Suspended; to continue, run: anamnesis resume -n NAMESPACE MODEL"
        yield Problem(Severity.NOTICE, SiteState.SUSPENDED.value, message)


def _problems_of_conditions(conditions: Iterable[Condition]) -> Iterator[Problem]:
    for condition in conditions:
        if condition.status == "True" and condition.type == condition_types.UNVERIFIED_PROMOTION:
            yield Problem(Severity.FAILURE, condition.reason, condition.message)
        if condition.status == "True" and condition.type in _ABNORMAL_CONDITIONS:
            yield Problem(Severity.NOTICE, condition.reason, condition.message)


def _problems_of_sites(state: ModelState, planned_status: PlannedModelStatus) -> Iterator[Problem]:
    """Sites of one severity are one problem, with the state of the first of them in ``spec.sites``."""
    sites_by_severity: dict[Severity, list[PlannedSiteStatus]] = {}
    for site in planned_status.sites:
        severity = _severity(state, site, planned_status)
        if severity is not None:
            sites_by_severity.setdefault(severity, []).append(site)
    for severity, sites in sites_by_severity.items():
        message = "; ".join(f"{site.name}: {site.message}" for site in sites)
        yield Problem(severity, sites[0].state.value, message)


def _severity(state: ModelState, site: PlannedSiteStatus, planned_status: PlannedModelStatus) -> Severity | None:
    if site.state is SiteState.UNREADABLE:
        resource = state.sites.get(site.name)
        is_stalled = resource is not None and resource.resource.status.is_true(condition_types.STALLED)
        return Severity.FAILURE if is_stalled else Severity.OUTAGE
    if site.state in STATES_THAT_NEED_A_PERSON:
        return Severity.FAILURE
    if site.state is SiteState.REJECTED and not planned_status.champion:
        is_everything_rejected = all(other.state is SiteState.REJECTED for other in planned_status.sites)
        return Severity.FAILURE if is_everything_rejected else Severity.NOTICE
    return Severity.NOTICE if site.state in STATES_TO_LOOK_AT else None


def _problems_of_runs(planned_status: PlannedModelStatus) -> Iterator[Problem]:
    """Runs that failed: of updates that are tried again, and of the scheduled evaluation."""
    if planned_status.evaluation_problem:
        run = planned_status.evaluation_run
        has_run_waiting = run is not None and not run.state.is_final
        needs_person = planned_status.is_evaluation_given_up or has_run_waiting
        yield Problem(
            Severity.FAILURE if needs_person else Severity.NOTICE,
            reasons.STEP_NOT_STARTED if has_run_waiting else reasons.EVALUATION_FAILED,
            planned_status.evaluation_problem,
        )
    for name, update in planned_status.updates.items():
        if update.state is UpdateState.RETRYING:
            yield Problem(Severity.NOTICE, update.state.value, f"{name}: {update.message}")
