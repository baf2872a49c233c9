"""The checks that decide the readiness of a site. Each check gives a state, or none where the next check decides."""

from anamnesis.operator.plan.plan_input import Candidate
from anamnesis.operator.plan.planned_status import SiteState, UpdateState
from anamnesis.operator.plan.site_input import SiteInput, SiteReadiness
from anamnesis.operator.plan.update_lifecycle import missing_evaluation_hint
from anamnesis.records import UpdateResultKind, Verdict
from anamnesis.registry.gate import MISSING_EVALUATIONS

_SITE_STATE_BY_UPDATE_STATE = {
    UpdateState.AWAITING_APPROVAL: SiteState.AWAITING_APPROVAL,
    UpdateState.AWAITING_EVALUATIONS: SiteState.AWAITING_EVALUATIONS,
    UpdateState.CLAIMED_ELSEWHERE: SiteState.CLAIMED_ELSEWHERE,
    UpdateState.SUSPENDED: SiteState.SUSPENDED,
    UpdateState.INVALID_SPEC: SiteState.INVALID_SPEC,
    UpdateState.STEP_NOT_STARTED: SiteState.STEP_NOT_STARTED,
}


def update_in_progress(site: SiteInput) -> SiteReadiness | None:
    """An update of the site has started and has not ended."""
    for update in site.updates:
        update_plan = site.update_plans[update.name]
        if not update_plan.state.is_final:
            state = _SITE_STATE_BY_UPDATE_STATE.get(update_plan.state, SiteState.UPDATING)
            return site.readiness(state, f"{update.name}: {update_plan.message}")
    return None


def champion_withdrawn(site: SiteInput) -> SiteReadiness | None:
    """A person withdrew the champion."""
    withdrawal = site.plan_input.withdrawal
    if not withdrawal:
        return None
    return site.readiness(
        SiteState.WITHDRAWN,
        f"{withdrawal}; no update starts. To use an earlier version, run: "
        f"anamnesis rollback {_model_arguments(site)} VERSION --reason TEXT",
    )


def source_unreadable(site: SiteInput) -> SiteReadiness | None:
    """The Site does not exist, or its source is unreadable."""
    return site.readiness(SiteState.UNREADABLE, site.observed.problem) if site.observed.problem else None


def source_shrank(site: SiteInput) -> SiteReadiness | None:
    """The source lists much less than before, more than `maximumShrinkShare` of the Site, or nothing of a class."""
    if site.observed.has_open_request:
        return None
    results = (update.result for update in site.updates if update.is_current)
    holds = [result.hold for result in results if result and result.kind is UpdateResultKind.SOURCE_SHRANK]
    hold = site.observed.hold or next(iter(holds), "")
    return site.readiness(SiteState.SOURCE_SHRANK, hold) if hold else None


def data_learned(site: SiteInput) -> SiteReadiness | None:
    """The champion was trained on the data that the source holds now."""
    if not site.observed.is_learned or site.observed.has_open_request:
        return None
    return site.readiness(SiteState.LEARNED, "; ".join(filter(None, (site.observed.held_back, site.observed.changes))))


def version_not_promoted(site: SiteInput) -> SiteReadiness | None:
    """This data already gave a version, and the version is not in use."""
    if site.observed.has_open_request:
        return None
    is_submitted = site.name in site.plan_input.submitted_sites
    for candidate in site.observed.candidates:
        match _state_after_candidate(candidate, site.spec.gate.enforcement == "Enforced", is_submitted):
            case SiteState.ROLLED_BACK:
                return site.readiness(
                    SiteState.ROLLED_BACK,
                    f"version {candidate.version}: {candidate.reason}; new data starts another update, "
                    f"or run: anamnesis update {_model_arguments(site)} --site {site.name}",
                )
            case SiteState.REJECTED:
                return site.readiness(
                    SiteState.REJECTED,
                    f"version {candidate.version}: {candidate.reason}; "
                    "new data or a changed configuration starts another update, "
                    f"or run: anamnesis update {_model_arguments(site)} --site {site.name}",
                )
            case SiteState.AWAITING_APPROVAL:
                return site.readiness(
                    SiteState.AWAITING_APPROVAL,
                    f"version {candidate.version}: {candidate.reason}; run: anamnesis approve "
                    f"{_model_arguments(site)} {candidate.version[:19]} --reason TEXT; or the same with reject",
                )
            case SiteState.AWAITING_EVALUATIONS:
                return site.readiness(
                    SiteState.AWAITING_EVALUATIONS,
                    f"version {candidate.version}: {candidate.reason}{missing_evaluation_hint(candidate)}",
                )
    return None


def _state_after_candidate(candidate: Candidate, is_gate_enforced: bool, is_submitted: bool) -> SiteState | None:
    """Returns the state that a candidate gives its site, or none where the update runs or continues."""
    if candidate.is_rolled_back:
        return SiteState.ROLLED_BACK
    if candidate.is_rejected:
        return SiteState.REJECTED
    if candidate.verdict is Verdict.AWAIT_APPROVAL and is_gate_enforced:
        return SiteState.AWAITING_APPROVAL
    is_missing = candidate.reason.startswith(MISSING_EVALUATIONS)  # the update runs again, and adds them
    if candidate.verdict is Verdict.AWAIT_EVALUATIONS and (is_submitted or not is_missing):
        return SiteState.AWAITING_EVALUATIONS
    return None


def _model_arguments(site: SiteInput) -> str:
    return "-f FILE --model MODEL" if site.plan_input.on_demand else "-n NAMESPACE MODEL"


def model_suspended(site: SiteInput) -> SiteReadiness | None:
    """The field `spec.state` of the model is `Suspended`."""
    if site.spec.state != "Suspended":
        return None
    remedy = (
        "to continue, set spec.state: Active in the file"
        if site.plan_input.on_demand
        else "to continue, run: anamnesis resume -n NAMESPACE MODEL"
    )
    return site.readiness(SiteState.SUSPENDED, f"spec.state is Suspended; {remedy}")


def log_unverified(site: SiteInput) -> SiteReadiness | None:
    """The registry's log has an entry that was not verified, so its champion may not be what a person approved."""
    if not site.plan_input.unverified_entry:
        return None
    return site.readiness(
        SiteState.UNVERIFIED_PROMOTION,
        f"{site.plan_input.unverified_entry}; the condition UnverifiedPromotion of the model says what to do",
    )


def spec_invalid(site: SiteInput) -> SiteReadiness | None:
    """A field of the model means nothing or contradicts a Site or the champion, or a Secret lacks a key."""
    problem = site.plan_input.spec_problem or site.plan_input.secret_problem
    return site.readiness(SiteState.INVALID_SPEC, problem) if problem else None


def method_not_allowed(site: SiteInput) -> SiteReadiness | None:
    """The model's method is not in `spec.changePlan.allowedMethods`."""
    method, allowed_methods = site.spec.method.name, site.spec.change_plan.allowed_methods
    if not allowed_methods or method in allowed_methods:
        return None
    return site.readiness(
        SiteState.OUTSIDE_CHANGE_PLAN,
        f"spec.method.name {method} is not in spec.changePlan.allowedMethods ({', '.join(allowed_methods)}); "
        f"choose an allowed method, or have {method} added to spec.changePlan.allowedMethods",
    )


def run_without_decision(site: SiteInput) -> SiteReadiness | None:
    """On one machine only: the run of the site's update ended without a decision of the gate."""
    if site.name not in site.plan_input.submitted_sites or site.observed.failure:
        return None
    return site.readiness(
        SiteState.UNDECIDED, "the update ended without a decision; read the last run.log in .anamnesis/MODEL/runs"
    )


def update_failed(site: SiteInput) -> SiteReadiness | None:
    """The runs of the update of this data failed, or somebody cancelled the run."""
    if site.observed.failure:
        return site.readiness(SiteState.FAILED, site.observed.failure)
    if site.is_requested:
        return None
    for update in site.updates:
        update_plan = site.update_plans[update.name]
        if update.is_current and update_plan.state in (UpdateState.RUN_FAILED, UpdateState.RUN_CANCELLED):
            return site.readiness(SiteState.FAILED, f"{update.name}: {update_plan.message}")
    return None


def learned_site_missing(site: SiteInput) -> SiteReadiness | None:
    """The champion was trained on a Site that does not exist any more."""
    missing_sites = [name for name, other_site in site.plan_input.sites.items() if other_site.is_missing]
    if not missing_sites:
        return None
    return site.readiness(
        SiteState.QUEUED,
        f"the champion was trained on Site {missing_sites[0]}, which does not exist: without that Site the gate "
        f"cannot measure forgetting. Apply Site {missing_sites[0]} again, or remove it from spec.sites",
    )


def learned_store_unreadable(site: SiteInput) -> SiteReadiness | None:
    """The store of a Site that the champion was trained on is unreadable."""
    if not site.plan_input.store_problem:
        return None
    return site.readiness(
        SiteState.QUEUED,
        "the store of a Site that the champion was trained on is unreadable, and without its test set the gate cannot "
        f"measure forgetting; the operator tries again: {site.plan_input.store_problem}",
    )


def other_operator_active(site: SiteInput) -> SiteReadiness | None:
    """Another operator that shares the registry runs an update of this model."""
    deadline = site.plan_input.other_operator_deadline
    if not deadline or deadline <= site.now:
        return None
    return site.readiness(
        SiteState.CLAIMED_ELSEWHERE,
        "another operator that shares the registry runs an update of this model, "
        f"at most until {deadline:%Y-%m-%d %H:%M} UTC; wait for it",
        deadline,
    )


def ready_to_update(site: SiteInput) -> SiteReadiness | None:
    """Nothing prevents an update of the site."""
    if site.observed.has_open_request:
        return site.readiness(SiteState.NEXT, "a person requested the update")
    return site.readiness(SiteState.NEXT)
