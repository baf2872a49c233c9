"""Decides the next actions for one model: a pure function of the spec, the state that was read, and the time."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from anamnesis.operator.api.model import ContinualModelSpec
from anamnesis.operator.plan.actions import Action, CreateUpdate, DeleteUpdate
from anamnesis.operator.plan.evaluations import decide_evaluation
from anamnesis.operator.plan.plan_input import PlanInput
from anamnesis.operator.plan.planned_status import (
    PlannedModelStatus,
    PlannedSiteStatus,
    PlannedUpdateStatus,
    SiteState,
    UpdateState,
)
from anamnesis.operator.plan.site_input import SiteInput, SiteReadiness
from anamnesis.operator.plan.site_readiness import decide_site
from anamnesis.operator.plan.update_lifecycle import UpdatePlan, decide_update

SERVER_RETRY_INTERVAL = timedelta(seconds=30)
"""How often the operator tries again to use a back end, or the store of a site."""
REFUSAL_RETRY_INTERVAL = timedelta(minutes=5)
"""How often the operator asks a back end again that refused it. A changed resource is planned at once."""
_STATES_THAT_HOLD_THE_TURN = {
    SiteState.NEXT,
    SiteState.UPDATING,
    SiteState.STEP_NOT_STARTED,
    SiteState.AWAITING_APPROVAL,
    SiteState.AWAITING_EVALUATIONS,
    SiteState.UNDECIDED,
    SiteState.CLAIMED_ELSEWHERE,
}
"""States in which the other sites wait: the next update must start from the champion that this one may give. A site
that is not ready does not delay the others; the ready sites are learned in the order of ``spec.sites``."""


def plan(
    spec: ContinualModelSpec, plan_input: PlanInput, now: datetime
) -> tuple[tuple[Action, ...], PlannedModelStatus]:
    """Returns the next actions, in this order, and the status.

    At most one update of a model is in progress. While the back end is not usable, everything that needs no back end
    goes on, and the status says what waits. ``approvals`` plans the decisions of people, which are executed before.

    Args:
        spec: of the model.
        plan_input: what the operator read.
        now: the time, UTC.
    """
    update_plans = {update.name: decide_update(spec, update, plan_input, now) for update in plan_input.updates}
    readiness = [
        decide_site(SiteInput(spec=spec, name=site.name, plan_input=plan_input, update_plans=update_plans, now=now))
        for site in spec.sites
    ]
    sites = _queue_sites(readiness, update_plans, plan_input)
    evaluation = decide_evaluation(spec, plan_input, now)
    actions = [action for update_plan in update_plans.values() for action in update_plan.actions]
    actions += [_create_update(site.status, plan_input) for site in sites if site.status.state is SiteState.NEXT]
    actions += evaluation.actions if evaluation else ()
    actions += _delete_old_updates(spec, plan_input, update_plans)
    requeue_times = [
        item.requeue_at for item in (*update_plans.values(), *sites, evaluation) if item and item.requeue_at
    ]
    is_server_away = (plan_input.backend_problem and not plan_input.is_backend_refusing) or plan_input.store_problem
    requeue_times += [now + SERVER_RETRY_INTERVAL] if is_server_away else []
    requeue_times += [now + REFUSAL_RETRY_INTERVAL] if plan_input.is_backend_refusing else []
    status = PlannedModelStatus(
        champion=plan_input.champion,
        withdrawal=plan_input.withdrawal,
        spec_problem=plan_input.spec_problem,
        sites=tuple(site.status for site in sites),
        planned_at=now.isoformat(timespec="seconds"),
        updates={
            name: PlannedUpdateStatus(update_plan.state, update_plan.message, update_plan.run)
            for name, update_plan in update_plans.items()
        },
        evaluation_problem=evaluation.message if evaluation else "",
        is_evaluation_given_up=evaluation is not None and evaluation.state is UpdateState.RUN_FAILED,
        evaluation_run=evaluation.run if evaluation else None,
        requeue_at=min(requeue_times, default=None),
    )
    return tuple(actions), status


def _create_update(site: PlannedSiteStatus, plan_input: PlanInput) -> Action:
    return CreateUpdate(site.name, plan_input.champion)


def _queue_sites(
    sites: list[SiteReadiness], update_plans: Mapping[str, UpdatePlan], plan_input: PlanInput
) -> list[SiteReadiness]:
    """Leaves ``NEXT`` to the first ready site, and to none while an update is in progress."""
    sites_in_flight = [update.site for update in plan_input.updates if not update_plans[update.name].state.is_final]
    turn_holder = sites_in_flight[0] if sites_in_flight else ""
    queued_sites = []
    for site in sites:
        status = site.status
        if status.state is SiteState.NEXT and turn_holder:
            queued_status = PlannedSiteStatus(
                status.name, SiteState.QUEUED, f"this site waits until the update of site {turn_holder} has ended"
            )
            site = SiteReadiness(queued_status)
        turn_holder = turn_holder or (status.name if status.state in _STATES_THAT_HOLD_THE_TURN else "")
        queued_sites.append(site)
    return queued_sites


def _delete_old_updates(
    spec: ContinualModelSpec, plan_input: PlanInput, update_plans: Mapping[str, UpdatePlan]
) -> list[Action]:
    """The oldest ended updates beyond ``historyLimit``; never a current one: it prevents a repetition of itself.

    None while the back end is not usable: a run of an ended update may have to be cancelled.
    """
    if plan_input.backend_problem:
        return []
    ended_updates = [
        update for update in plan_input.updates if update_plans[update.name].state.is_final and not update.is_current
    ]
    surplus = len(plan_input.updates) - spec.history_limit
    return [DeleteUpdate(update.name) for update in ended_updates[: max(0, surplus)]]
