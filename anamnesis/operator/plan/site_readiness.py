"""Where one site stands with a model, as far as the site alone decides it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anamnesis.operator.api.durations import parse_duration
from anamnesis.operator.api.model import ContinualModelSpec, TriggerSpec
from anamnesis.operator.plan.plan_input import Candidate, ObservedSite, ObservedUpdate, PlanInput
from anamnesis.operator.plan.planned_status import PlannedSiteStatus, SiteState, UpdateState
from anamnesis.operator.plan.update_lifecycle import UpdatePlan
from anamnesis.records import UpdateResultKind, Verdict

_SITE_STATE_BY_UPDATE_STATE = {
    UpdateState.AWAITING_APPROVAL: SiteState.AWAITING_APPROVAL,
    UpdateState.AWAITING_EVALUATIONS: SiteState.AWAITING_EVALUATIONS,
    UpdateState.CLAIMED_ELSEWHERE: SiteState.CLAIMED_ELSEWHERE,
    UpdateState.SUSPENDED: SiteState.SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class SiteReadiness:
    """Where a site stands, and when that may change by itself."""

    status: PlannedSiteStatus
    requeue_at: datetime | None = None


def decide_site(
    spec: ContinualModelSpec, name: str, plan_input: PlanInput, update_plans: Mapping[str, UpdatePlan], now: datetime
) -> SiteReadiness:
    """Returns where the site ``name`` stands; ``NEXT`` where its update may begin.

    Args:
        spec: what is wanted.
        name: of the site.
        plan_input: what is there.
        update_plans: update -> where it stands.
        now: the time, UTC.
    """
    site, updates = plan_input.sites[name], [update for update in plan_input.updates if update.site == name]
    for update in updates:
        if not (update_plan := update_plans[update.name]).state.is_final:
            state = _SITE_STATE_BY_UPDATE_STATE.get(update_plan.state, SiteState.UPDATING)
            return SiteReadiness(PlannedSiteStatus(name, state, f"{update.name}: {update_plan.message}"))
    if site.problem:
        return SiteReadiness(PlannedSiteStatus(name, SiteState.UNREADABLE, site.problem))
    if decided_status := _decided_status(spec, name, site, plan_input):
        return SiteReadiness(decided_status)
    if blocked_status := _blocked_status(spec, name, plan_input):
        return SiteReadiness(blocked_status)
    if not (plan_input.on_demand or site.has_open_request):
        if failed_status := _failed_status(name, updates, update_plans):
            return SiteReadiness(failed_status)
        if waiting_site := _wait_for_trigger(spec.trigger, name, site, updates, now):
            return waiting_site
    if not (plan_input.on_demand or site.source_fingerprint):
        return SiteReadiness(PlannedSiteStatus(name, SiteState.WAITING_FOR_DATA, "nothing was seen at its source yet"))
    if missing_sites := [other_name for other_name, other_site in plan_input.sites.items() if other_site.is_missing]:
        message = (
            f"the champion has learned {missing_sites[0]}, and without its Site nothing judges what an update forgets of it: "
            "apply the Site again, or take it out of spec.sites"
        )
        return SiteReadiness(PlannedSiteStatus(name, SiteState.QUEUED, message))
    if plan_input.other_operator_deadline and plan_input.other_operator_deadline > now:
        message = f"another operator has the turn until {plan_input.other_operator_deadline:%Y-%m-%d %H:%M} UTC"
        return SiteReadiness(
            PlannedSiteStatus(name, SiteState.CLAIMED_ELSEWHERE, message), plan_input.other_operator_deadline
        )
    return SiteReadiness(
        PlannedSiteStatus(name, SiteState.NEXT, "a person asked for it" if site.has_open_request else "")
    )


def _decided_status(
    spec: ContinualModelSpec, name: str, site: ObservedSite, plan_input: PlanInput
) -> PlannedSiteStatus | None:
    """Returns what was decided about the site's present data; a person who asks again overrules it."""
    if site.has_open_request:
        return None
    if site.is_learned:
        return PlannedSiteStatus(name, SiteState.LEARNED)
    for candidate in site.candidates:
        if state := _state_after_candidate(
            candidate, spec.gate.enforcement == "Enforced", name in plan_input.submitted_sites
        ):
            return PlannedSiteStatus(name, state, f"{candidate.version}: {candidate.reason}")
    return None


def _state_after_candidate(candidate: Candidate, is_gate_enforced: bool, is_submitted: bool) -> SiteState | None:
    """Returns where a candidate leaves its site, or none where the update shall run (on)."""
    if candidate.is_rolled_back:
        return SiteState.ROLLED_BACK
    if candidate.is_rejected:
        return SiteState.REJECTED
    if candidate.verdict is Verdict.AWAIT_APPROVAL and is_gate_enforced:
        return SiteState.AWAITING_APPROVAL
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS and is_submitted:
        return SiteState.AWAITING_EVALUATIONS
    return None


def _blocked_status(spec: ContinualModelSpec, name: str, plan_input: PlanInput) -> PlannedSiteStatus | None:
    """Returns what no person's request overrules."""
    if spec.state == "Suspended":
        return PlannedSiteStatus(name, SiteState.SUSPENDED, "the model is suspended")
    allowed_methods = spec.change_plan.allowed_methods
    if allowed_methods and spec.method.name not in allowed_methods:
        return PlannedSiteStatus(
            name, SiteState.OUTSIDE_CHANGE_PLAN, f"{spec.method.name} is not one of {', '.join(allowed_methods)}"
        )
    if name in plan_input.submitted_sites:
        return PlannedSiteStatus(
            name, SiteState.UNDECIDED, "its update ended without a decision; see the record of the run"
        )
    return None


def _failed_status(
    name: str, updates: list[ObservedUpdate], update_plans: Mapping[str, UpdatePlan]
) -> PlannedSiteStatus | None:
    """Returns why this very update was given up; other data, another base or configuration would be another one."""
    for update in updates:
        update_plan = update_plans[update.name]
        if update.is_current and update_plan.state in (UpdateState.RUN_FAILED, UpdateState.RUN_CANCELLED):
            return PlannedSiteStatus(name, SiteState.FAILED, f"{update.name}: {update_plan.message}")
    return None


def _wait_for_trigger(
    trigger: TriggerSpec, name: str, site: ObservedSite, updates: list[ObservedUpdate], now: datetime
) -> SiteReadiness | None:
    """Returns what the site's new data waits for; none where it may be learned."""
    if not site.source_fingerprint or site.changed_at is None:
        return SiteReadiness(PlannedSiteStatus(name, SiteState.WAITING_FOR_DATA, "nothing was seen at its source yet"))
    if patients_message := _too_few_patients_message(trigger, site, updates):
        return SiteReadiness(PlannedSiteStatus(name, SiteState.WAITING_FOR_PATIENTS, patients_message))
    quiet_at = site.changed_at + parse_duration(trigger.quiet_period)
    if now < quiet_at:
        message = f"until nothing has changed for {trigger.quiet_period}"
        return SiteReadiness(PlannedSiteStatus(name, SiteState.WAITING_FOR_QUIET, message), quiet_at)
    opens_at = _schedule_opens_at(trigger, site.changed_at, now)
    if opens_at and opens_at > now:
        message = f"until {opens_at:%Y-%m-%d %H:%M} UTC"
        return SiteReadiness(PlannedSiteStatus(name, SiteState.WAITING_FOR_SCHEDULE, message), opens_at)
    return None


def _too_few_patients_message(trigger: TriggerSpec, site: ObservedSite, updates: list[ObservedUpdate]) -> str:
    """Returns, in words, that there are too few new patients: as an ingest found, or as the listing proves."""
    minimum_patients = trigger.minimum_new_patients
    for update in updates:
        if update.is_current and update.result and update.result_kind is UpdateResultKind.TOO_FEW_PATIENTS:
            return f"{update.result.new_patients} of {minimum_patients} new patients"
    growth = site.patients - site.learned_patients
    if (
        site.patients and 0 <= growth < minimum_patients
    ):  # fewer than before: some were exchanged, and only an ingest can tell
        return f"at most {growth} of {minimum_patients} new patients"
    return ""


def _schedule_opens_at(trigger: TriggerSpec, changed_at: datetime, now: datetime) -> datetime | None:
    """Returns when schedule and window let an update begin: now or later; none where there is neither."""
    from anamnesis.operator.api.schedule import is_window_open, next_firing, next_opening

    opens_at = now
    if trigger.schedule:  # the first firing after the data came; one that was missed is made up for
        opens_at = max(now, next_firing(trigger.schedule, changed_at))
    if trigger.window and not is_window_open(trigger.window, opens_at):
        opens_at = next_opening(trigger.window, opens_at)
    return opens_at
