"""Turns the state of a model into the input of the plan. Pure: it reads no registry, no store and no back end."""

from datetime import datetime

from anamnesis.operator.api import LoadedResource, Site
from anamnesis.operator.api.annotations import UPDATE_REQUEST_PREFIX
from anamnesis.operator.api.condition_types import DECIDED, READY
from anamnesis.operator.api.reasons import UNREACHABLE
from anamnesis.operator.api.schedule import next_firing
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.candidates import logged_candidate, merge_decision, site_candidates
from anamnesis.operator.controllers.continualmodel.jobs import is_request_current
from anamnesis.operator.controllers.continualmodel.missing_sites import describe_missing_site
from anamnesis.operator.controllers.continualmodel.names import (
    claim_digest,
    configuration_digest,
    evaluation_name,
)
from anamnesis.operator.controllers.continualmodel.run_records import recorded_evaluation_run, recorded_update_run
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.plan import (
    Candidate,
    Claim,
    ObservedEvaluation,
    ObservedSite,
    ObservedUpdate,
    PlanInput,
    PlannedUpdateStatus,
    UpdateState,
)
from anamnesis.records import EntryKind, LogEntry, UpdateResult, UpdateResultKind
from anamnesis.records.timestamps import parse_timestamp
from anamnesis.registry import describe_withdrawal

_NOTHING_LEARNED = (UpdateResultKind.TOO_FEW_PATIENTS, UpdateResultKind.SOURCE_SHRANK)


def build_plan_input(state: ModelState) -> PlanInput:
    """Returns the input of the plan."""
    sites = {reference.name: _observe_site(state, reference.name) for reference in state.model.resource.spec.sites}
    return PlanInput(
        champion=state.registry.champion,
        sites=sites,
        withdrawal=describe_withdrawal(state.registry.history.withdrawal) if state.registry.history.withdrawal else "",
        backend_problem=state.backend_problem.message if state.backend_problem else "",
        is_backend_refusing=state.backend_problem is not None and state.backend_problem.reason != UNREACHABLE,
        store_problem=str(state.store_error or ""),
        updates=tuple(_observe_update(state, update, sites) for update in state.updates),
        other_operator_deadline=_other_operator_deadline(state),
        spec_problem=state.spec_problem,
        secret_problem=state.secret_problem,
        unverified_entry=next(map(str, state.registry.verification.unverified_entries), ""),
        evaluation=_observe_evaluation(state),
    )


def source_fingerprint(site: LoadedResource[Site]) -> str:
    """Returns the fingerprint of a site's source; empty while the source is empty or was never polled."""
    source = site.resource.status.source
    return source.fingerprint if source and source.files else ""


def next_update_counter(state: ModelState, site: str) -> int:
    """Returns the counter of a new update of a site: it never falls, even where the annotation was removed."""
    return max(_requested_counter(state, site), _answered_counter(state, site))


def required_new_patients(state: ModelState, site: str) -> int:
    """Returns how many new patients a new update of a site needs: none where a person requested the update."""
    is_requested = _requested_counter(state, site) > _answered_counter(state, site)
    return 0 if is_requested else state.model.resource.spec.trigger.minimum_new_patients


def _requested_counter(state: ModelState, site: str) -> int:
    text = state.model.resource.metadata.annotations.get(UPDATE_REQUEST_PREFIX + site, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _answered_counter(state: ModelState, site: str) -> int:
    """The highest counter of an update of the site, among its ModelUpdates and the results in the registry.

    ``status.sites`` shows it to the command line. It is not read from there: a request whose ModelUpdate was deleted
    before its result is open again.
    """
    update_counters = (update.spec.counter for update in state.updates if update.spec.site == site)
    result_counters = (result.trigger.counter for result in state.registry.results.values() if result.site == site)
    return max((*update_counters, *result_counters), default=0)


def _observe_site(state: ModelState, name: str) -> ObservedSite:
    if name not in state.sites:
        is_learned = any(version.site == name for _, version in state.registry.lineage)
        return ObservedSite(
            problem=describe_missing_site(
                name, is_learned=is_learned, updates=state.updates, sites=state.namespace_sites
            ),
            answered_counter=_answered_counter(state, name),
            is_missing=is_learned,
        )
    site, source_status = state.sites[name], state.sites[name].resource.status.source
    fingerprint = source_fingerprint(site)
    learned_results = _learned_results(state, name)
    current_results = [
        result
        for result in state.registry.results.values()
        if result.site == name and result.trigger.source_state.fingerprint == fingerprint
    ]
    is_learned = bool(fingerprint) and any(result in learned_results for result in current_results)
    return ObservedSite(
        is_learned=is_learned,
        candidates=() if is_learned else _site_candidates(state, current_results),
        problem=_source_problem(site),
        source_fingerprint=fingerprint,
        changed_at=source_status.last_change_time if source_status else None,
        patients=source_status.patients if source_status else 0,
        learned_patients=max((result.trigger.source_state.patients for result in learned_results), default=0),
        requested_counter=_requested_counter(state, name),
        answered_counter=_answered_counter(state, name),
    )


def _learned_results(state: ModelState, site: str) -> list[UpdateResult]:
    """The results of a site with the snapshot that the champion has learned last, or with nothing new beside it."""
    snapshots = [version.snapshot for _, version in state.registry.lineage if version.site == site][-1:]
    return [
        result
        for result in state.registry.results.values()
        if result.site == site
        and (
            (result.snapshot in snapshots and result.kind not in _NOTHING_LEARNED)
            or (result.kind is UpdateResultKind.NO_CHANGE and result.base == state.registry.champion)
        )
    ]


def _site_candidates(state: ModelState, current_results: list[UpdateResult]) -> tuple[Candidate, ...]:
    current_configuration, registry = configuration_digest(state.model.resource), state.registry
    versions = [
        result.version for result in current_results if result.version and result.configuration == current_configuration
    ]
    base_by_version = {version: registry.versions[version].base or "" for version in versions}
    return tuple(site_candidates(base_by_version, registry.history, registry.entries))


def _source_problem(site: LoadedResource[Site]) -> str:
    """Why the source is not readable; its last known fingerprint stays in the status."""
    ready_condition = site.resource.status.condition(READY)
    return ready_condition.message if ready_condition and ready_condition.status == "False" else ""


def _observe_update(state: ModelState, update: ModelUpdate, sites: dict[str, ObservedSite]) -> ObservedUpdate:
    spec, registry, model = update.spec, state.registry, state.model.resource
    fingerprint = sites[spec.site].source_fingerprint if spec.site in sites else ""
    current_claim = claim_digest(
        model,
        site=spec.site,
        source_fingerprint=fingerprint,
        base=registry.champion,
        counter=next_update_counter(state, spec.site),
        replaced_test_sets=len(registry.history.replaced_test_sets),
    )
    result = registry.result_of(update)
    version = result.version if result else ""
    return ObservedUpdate(
        name=update.metadata.name,
        site=spec.site,
        source_fingerprint=spec.source_fingerprint,
        base=spec.base_version or "",
        is_current=spec.claim == current_claim,
        is_request_current=result is not None or is_request_current(state, update),
        created_at=update.metadata.creation_timestamp or state.now,
        claim=_observe_claim(state, spec.claim),
        runs=state.runs_of(update.metadata.name),
        result=result,
        candidate=_update_candidate(state, update, version) if version else None,
        is_promoted=version in registry.history.lineage,
        is_superseded=version in registry.history.superseding_entries,
        last_status=_last_status(update),
        recorded_run=recorded_update_run(update.status),
    )


def _last_status(update: ModelUpdate) -> PlannedUpdateStatus | None:
    condition = update.status.condition(DECIDED)
    if condition is None or condition.reason not in set(UpdateState):
        return None
    return PlannedUpdateStatus(UpdateState(condition.reason), condition.message)


def _update_candidate(state: ModelState, update: ModelUpdate, version: str) -> Candidate | None:
    registry = state.registry
    base = registry.versions[version].base or ""
    candidate = logged_candidate(version, base, registry.history, registry.entries)
    decision = state.gate_decisions.get(update.metadata.name)
    return merge_decision(version, candidate, decision) if decision else candidate


def _observe_claim(state: ModelState, claim: str) -> Claim | None:
    entry = state.registry.history.claims.get(claim)
    return _claim_from_entry(state, entry) if entry else None


def _claim_from_entry(state: ModelState, entry: LogEntry) -> Claim:
    return Claim(entry.author == state.operator_identity, parse_timestamp(entry.deadline))


def _other_operator_deadline(state: ModelState) -> datetime | None:
    """Until when another operator runs an update: its claim is newer than the champion and has no result yet."""
    kinds = (EntryKind.PROMOTE, EntryKind.ROLL_BACK, EntryKind.WITHDRAW)
    champion_entry = max((entry.number for entry in state.registry.entries if entry.kind in kinds), default=0)
    claims = (
        _claim_from_entry(state, entry)
        for subject, entry in state.registry.history.claims.items()
        if entry.number > champion_entry and subject not in state.registry.results
    )
    return max(
        (claim.deadline for claim in claims if not claim.held_by_this_operator and claim.deadline > state.now),
        default=None,
    )


def _observe_evaluation(state: ModelState) -> ObservedEvaluation | None:
    spec = state.model.resource.spec.evaluation
    first_promotion = next((entry for entry in state.registry.entries if entry.kind is EntryKind.PROMOTE), None)
    if spec is None or first_promotion is None or not state.registry.champion:
        return None
    schedule = state.schedule
    name = evaluation_name(state.model.name, schedule.due_at or state.now)
    return ObservedEvaluation(
        first_champion_at=parse_timestamp(first_promotion.time),
        due_at=schedule.due_at,
        next_due_at=next_firing(spec.schedule, state.now),
        name=name,
        runs=() if schedule.due_result else state.runs_of(name),
        result=schedule.due_result,
        recorded_run=recorded_evaluation_run(state.model.resource.status),
    )
