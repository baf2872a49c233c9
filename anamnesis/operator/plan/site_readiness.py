"""Where one site stands with a model, as far as the site alone decides it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anamnesis.operator.api.durations import duration
from anamnesis.operator.api.model import ContinualModelSpec, TriggerSpec
from anamnesis.operator.plan.plan_input import Candidate, Observed, ObservedSite, ObservedUpdate
from anamnesis.operator.plan.planned_status import SiteState, SiteStatus, UpdateState
from anamnesis.operator.plan.update_lifecycle import Followed
from anamnesis.records import OutcomeKind, Verdict

_IN_FLIGHT = {
    UpdateState.AWAITING_APPROVAL: SiteState.AWAITING_APPROVAL,
    UpdateState.AWAITING_EVALUATIONS: SiteState.AWAITING_EVALUATIONS,
    UpdateState.CLAIMED_ELSEWHERE: SiteState.CLAIMED_ELSEWHERE,
    UpdateState.SUSPENDED: SiteState.SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a site stands, and when that may change by itself."""

    status: SiteStatus
    again: datetime | None = None


def stand(
    spec: ContinualModelSpec, name: str, observed: Observed, followed: Mapping[str, Followed], now: datetime
) -> Standing:
    """Returns where the site ``name`` stands; ``NEXT`` where its update may begin.

    Args:
        spec: what is wanted.
        name: of the site.
        observed: what is there.
        followed: update -> where it stands.
        now: the time, UTC.
    """
    site, updates = observed.sites[name], [one for one in observed.updates if one.site == name]
    for update in updates:
        if not (found := followed[update.name]).state.final:
            state = _IN_FLIGHT.get(found.state, SiteState.UPDATING)
            return Standing(SiteStatus(name, state, f"{update.name}: {found.message}"))
    if site.problem:
        return Standing(SiteStatus(name, SiteState.UNREADABLE, site.problem))
    if settled := _settled(spec, name, site, observed):
        return Standing(settled)
    if held := _held(spec, name, observed):
        return Standing(held)
    if not (observed.on_demand or site.asked):
        if failed := _failed(name, updates, followed):
            return Standing(failed)
        if waiting := _waiting(spec.trigger, name, site, updates, now):
            return waiting
    if not (observed.on_demand or site.source):
        return Standing(SiteStatus(name, SiteState.WAITING_FOR_DATA, "nothing was seen at its source yet"))
    if lost := [other for other, one in observed.sites.items() if one.lost]:
        message = (
            f"the champion has learned {lost[0]}, and without its Site nothing judges what an update forgets of it: "
            "apply the Site again, or take it out of spec.sites"
        )
        return Standing(SiteStatus(name, SiteState.QUEUED, message))
    if observed.foreign_until and observed.foreign_until > now:
        message = f"another operator has the turn until {observed.foreign_until:%Y-%m-%d %H:%M} UTC"
        return Standing(SiteStatus(name, SiteState.CLAIMED_ELSEWHERE, message), observed.foreign_until)
    return Standing(SiteStatus(name, SiteState.NEXT, "a person asked for it" if site.asked else ""))


def _settled(spec: ContinualModelSpec, name: str, site: ObservedSite, observed: Observed) -> SiteStatus | None:
    """Returns what was decided about the site's present data; a person who asks again overrules it."""
    if site.asked:
        return None
    if site.learned:
        return SiteStatus(name, SiteState.LEARNED)
    for candidate in site.candidates:
        if state := _decided(candidate, spec.gate.enforcement == "Enforced", name in observed.submitted):
            return SiteStatus(name, state, f"{candidate.version}: {candidate.reason}")
    return None


def _decided(candidate: Candidate, enforced: bool, submitted: bool) -> SiteState | None:
    """Returns where a candidate leaves its site, or none where the update shall run (on)."""
    if candidate.rolled_back:
        return SiteState.ROLLED_BACK
    if candidate.rejected:
        return SiteState.REJECTED
    if candidate.verdict is Verdict.AWAIT_APPROVAL and enforced:
        return SiteState.AWAITING_APPROVAL
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS and submitted:
        return SiteState.AWAITING_EVALUATIONS
    return None


def _held(spec: ContinualModelSpec, name: str, observed: Observed) -> SiteStatus | None:
    """Returns what no person's request overrules."""
    if spec.state == "Suspended":
        return SiteStatus(name, SiteState.SUSPENDED, "the model is suspended")
    allowed = spec.change_plan.allowed_methods
    if allowed and spec.method.name not in allowed:
        return SiteStatus(name, SiteState.OUTSIDE_CHANGE_PLAN, f"{spec.method.name} is not one of {', '.join(allowed)}")
    if name in observed.submitted:
        return SiteStatus(name, SiteState.UNSETTLED, "its update ended without a decision; see the record of the run")
    return None


def _failed(name: str, updates: list[ObservedUpdate], followed: Mapping[str, Followed]) -> SiteStatus | None:
    """Returns why this very update was given up; other data, another base or configuration would be another one."""
    for update in updates:
        found = followed[update.name]
        if update.current and found.state in (UpdateState.RUN_FAILED, UpdateState.RUN_CANCELLED):
            return SiteStatus(name, SiteState.FAILED, f"{update.name}: {found.message}")
    return None


def _waiting(
    trigger: TriggerSpec, name: str, site: ObservedSite, updates: list[ObservedUpdate], now: datetime
) -> Standing | None:
    """Returns what the site's new data waits for; none where it may be learned."""
    if not site.source or site.changed is None:
        return Standing(SiteStatus(name, SiteState.WAITING_FOR_DATA, "nothing was seen at its source yet"))
    if few := _too_few(trigger, site, updates):
        return Standing(SiteStatus(name, SiteState.WAITING_FOR_PATIENTS, few))
    quiet = site.changed + duration(trigger.quiet_period)
    if now < quiet:
        message = f"until nothing has changed for {trigger.quiet_period}"
        return Standing(SiteStatus(name, SiteState.WAITING_FOR_QUIET, message), quiet)
    opens = _opens(trigger, site.changed, now)
    if opens and opens > now:
        message = f"until {opens:%Y-%m-%d %H:%M} UTC"
        return Standing(SiteStatus(name, SiteState.WAITING_FOR_SCHEDULE, message), opens)
    return None


def _too_few(trigger: TriggerSpec, site: ObservedSite, updates: list[ObservedUpdate]) -> str:
    """Returns, in words, that there are too few new patients: as an ingest found, or as the listing proves."""
    minimum = trigger.minimum_new_patients
    for update in updates:
        if update.current and update.outcome and update.kind is OutcomeKind.TOO_FEW_PATIENTS:
            return f"{update.outcome.new_patients} of {minimum} new patients"
    growth = site.patients - site.learned_patients
    if site.patients and 0 <= growth < minimum:  # fewer than before: some were exchanged, and only an ingest can tell
        return f"at most {growth} of {minimum} new patients"
    return ""


def _opens(trigger: TriggerSpec, changed: datetime, now: datetime) -> datetime | None:
    """Returns when schedule and window let an update begin: now or later; none where there is neither."""
    from anamnesis.operator.api.schedule import is_open, next_firing, opens_next

    opens = now
    if trigger.schedule:  # the first firing after the data came; one that was missed is made up for
        opens = max(now, next_firing(trigger.schedule, changed))
    if trigger.window and not is_open(trigger.window, opens):
        opens = opens_next(trigger.window, opens)
    return opens
