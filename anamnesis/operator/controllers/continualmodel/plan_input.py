"""From what was read to what planning looks at. Pure over a scene; the scene reads what is asked for."""

from datetime import datetime

from anamnesis.operator.api import LoadedResource, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.schedule import last_firing, next_firing
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.candidates import candidate_of, refused_candidates
from anamnesis.operator.controllers.continualmodel.names import approval_marker, claim_digest, evaluation_name
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.plan import (
    Claim,
    ObservedApproval,
    ObservedEvaluation,
    ObservedSite,
    ObservedUpdate,
    PlanInput,
)
from anamnesis.records import EntryKind, LogEntry, UpdateResultKind
from anamnesis.records.timestamps import parse_timestamp
from anamnesis.registry import read_scheduled_evaluation

REQUEST_ANNOTATION_PREFIX = "update.anamnesis.dev/"
"""Prefix of the annotation of a ContinualModel by which a person asks for an update of a site."""


def build_plan_input(state: ModelState) -> PlanInput:
    """Returns what planning looks at."""
    sites = {reference.name: _observe_site(state, reference.name) for reference in state.model.resource.spec.sites}
    return PlanInput(
        champion=state.champion,
        sites=sites,
        updates=tuple(_observe_update(state, update, sites) for update in state.updates),
        approvals=tuple(_observe_approval(state, approval) for approval in state.approvals),
        admission_policy_since=state.admission_policy_since,
        other_operator_deadline=_other_operator_deadline(state),
        evaluation=_observe_evaluation(state),
    )


def source_fingerprint(site: LoadedResource[Site]) -> str:
    """Returns the fingerprint of what a site's source holds; empty while it holds nothing, or was never looked at."""
    source = site.resource.status.source
    return source.fingerprint if source and source.files else ""


def next_update_counter(state: ModelState, site: str) -> int:
    """Returns the counter that a new update of a site bears: it never falls, also when the annotation is gone."""
    return max(_requested_counter(state, site), _answered_counter(state, site))


def required_new_patients(state: ModelState, site: str) -> int:
    """Returns how many new patients a new update of a site must bring: any number where a person asks for it."""
    is_requested = _requested_counter(state, site) > _answered_counter(state, site)
    return 0 if is_requested else state.model.resource.spec.trigger.minimum_new_patients


def _requested_counter(state: ModelState, site: str) -> int:
    text = state.model.resource.metadata.annotations.get(REQUEST_ANNOTATION_PREFIX + site, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _answered_counter(state: ModelState, site: str) -> int:
    update_counters = (update.spec.counter for update in state.updates if update.spec.site == site)
    result_counters = (result.trigger.counter for result in state.results.values() if result.site == site)
    return max((*update_counters, *result_counters), default=0)


def _observe_site(state: ModelState, name: str) -> ObservedSite:
    if name not in state.sites:
        is_missing = any(version.site == name for _, version in state.lineage)
        return ObservedSite(problem=f"there is no Site {name!r} in this namespace", is_missing=is_missing)
    site = state.sites[name]
    fingerprint, results = (
        source_fingerprint(site),
        [result for result in state.results.values() if result.site == name],
    )
    snapshots = {version.snapshot for _, version in state.lineage if version.site == name}
    learned_results = [
        result
        for result in results
        if result.snapshot in snapshots and result.kind is not UpdateResultKind.TOO_FEW_PATIENTS
    ]
    current_results = [result for result in results if result.trigger.source_state.fingerprint == fingerprint]
    is_learned = bool(fingerprint) and any(result in learned_results for result in current_results)
    source_status = site.resource.status.source
    return ObservedSite(
        is_learned=is_learned,
        candidates=() if is_learned else tuple(refused_candidates(state, current_results)),
        problem=_source_problem(site),
        source_fingerprint=fingerprint,
        changed_at=source_status.last_change_time if source_status else None,
        patients=source_status.patients if source_status else 0,
        learned_patients=max((result.trigger.source_state.patients for result in learned_results), default=0),
        requested_counter=_requested_counter(state, name),
        answered_counter=_answered_counter(state, name),
    )


def _source_problem(site: LoadedResource[Site]) -> str:
    """Why the source cannot be read. One that does not answer for a moment keeps what was seen of it."""
    readable_condition = next(
        (condition for condition in site.resource.status.conditions if condition.type == "Readable"), None
    )
    return readable_condition.message if readable_condition and readable_condition.status == "False" else ""


def _observe_update(state: ModelState, update: ModelUpdate, sites: dict[str, ObservedSite]) -> ObservedUpdate:
    spec, result, model = update.spec, state.result_of(update), state.model.resource
    fingerprint = sites[spec.site].source_fingerprint if spec.site in sites else ""
    current_claim = claim_digest(model, spec.site, fingerprint, state.champion, next_update_counter(state, spec.site))
    version = result.version if result else ""
    return ObservedUpdate(
        name=update.metadata.name,
        site=spec.site,
        source_fingerprint=spec.source_fingerprint,
        base=spec.base_version or "",
        is_current=spec.claim == current_claim,
        created_at=update.metadata.creation_timestamp or state.now,
        claim=_observe_claim(state, spec.claim),
        runs=state.runs_of(update.metadata.name),
        result=result,
        candidate=candidate_of(state, update, version) if version else None,
        is_promoted=version in state.history.lineage,
        is_superseded=version in state.history.superseding_entries,
    )


def _observe_claim(state: ModelState, claim: str) -> Claim | None:
    entry = state.history.claims.get(claim)
    return _claim_from_entry(state, entry) if entry else None


def _claim_from_entry(state: ModelState, entry: LogEntry) -> Claim:
    return Claim(entry.author == state.operator_identity, parse_timestamp(entry.deadline))


def _other_operator_deadline(state: ModelState) -> datetime | None:
    """Until when another operator has the turn: its claim is newer than the champion, and nothing came of it yet."""
    kinds = (EntryKind.PROMOTE, EntryKind.ROLL_BACK)
    champion_entry = max((entry.number for entry in state.entries if entry.kind in kinds), default=0)
    claims = (
        _claim_from_entry(state, entry)
        for subject, entry in state.history.claims.items()
        if entry.number > champion_entry and subject not in state.results
    )
    return max(
        (claim.deadline for claim in claims if not claim.held_by_this_operator and claim.deadline > state.now),
        default=None,
    )


def _observe_approval(state: ModelState, approval: UpdateApproval) -> ObservedApproval:
    spec, metadata, history = approval.spec, approval.metadata, state.history
    update = next((item for item in state.updates if item.metadata.name == spec.update), None)
    result = state.result_of(update) if update else None
    marker = approval_marker(metadata.uid)
    decisions = {
        "approved": spec.version in history.approvals,
        "rejected": history.is_vetoed(spec.version),
        "promoted": spec.version in history.promoted_versions,
    }
    recorded_condition = next(
        (condition for condition in approval.status.conditions if condition.type == "Recorded"), None
    )
    return ObservedApproval(
        name=metadata.name,
        decision=spec.decision,
        version=spec.version,
        approver=spec.approver,
        created_at=metadata.creation_timestamp or state.now,
        update=spec.update or "",
        candidate=result.version if result else "",
        log_entry=next((entry.number for entry in state.entries if entry.reason.endswith(marker)), 0),
        logged_decisions=frozenset(decision for decision, is_logged in decisions.items() if is_logged),
        refusal_reason=recorded_condition.reason if recorded_condition and recorded_condition.status == "False" else "",
    )


def _observe_evaluation(state: ModelState) -> ObservedEvaluation | None:
    spec = state.model.resource.spec.evaluation
    first_promotion = next((entry for entry in state.entries if entry.kind is EntryKind.PROMOTE), None)
    if spec is None or first_promotion is None:
        return None
    due_at = last_firing(spec.schedule, state.now)
    name = evaluation_name(state.model.name, due_at or state.now)
    result = read_scheduled_evaluation(state.registry, name) if due_at else None
    runs = () if result else state.runs_of(name)
    return ObservedEvaluation(
        parse_timestamp(first_promotion.time), due_at, next_firing(spec.schedule, state.now), name, runs, result
    )
