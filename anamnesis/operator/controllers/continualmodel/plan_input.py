"""From what was read to what planning looks at. Pure over a scene; the scene reads what is asked for."""

from datetime import datetime

from anamnesis.operator.api import Loaded, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.schedule import last_firing, next_firing
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.continualmodel.candidates import candidate_of, decided
from anamnesis.operator.controllers.continualmodel.names import approval_mark, claim_digest, evaluation_name
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.plan import (
    Claim,
    Observed,
    ObservedApproval,
    ObservedEvaluation,
    ObservedSite,
    ObservedUpdate,
)
from anamnesis.records import EntryKind, LogEntry, OutcomeKind
from anamnesis.records.timestamps import time_of
from anamnesis.registry import read_monitoring

REQUEST = "update.anamnesis.dev/"
"""Prefix of the annotation of a ContinualModel by which a person asks for an update of a site."""


def observe_cluster(scene: Scene) -> Observed:
    """Returns what planning looks at."""
    sites = {reference.name: _site(scene, reference.name) for reference in scene.model.resource.spec.sites}
    return Observed(
        champion=scene.champion,
        sites=sites,
        updates=tuple(_update(scene, update, sites) for update in scene.updates),
        approvals=tuple(_approval(scene, approval) for approval in scene.approvals),
        guarded_since=scene.guarded_since,
        foreign_until=_foreign_until(scene),
        evaluation=_evaluation(scene),
    )


def source_of(site: Loaded[Site]) -> str:
    """Returns the fingerprint of what a site's source holds; empty while it holds nothing, or was never looked at."""
    source = site.resource.status.source
    return source.fingerprint if source and source.files else ""


def counter_of(scene: Scene, site: str) -> int:
    """Returns the counter that a new update of a site bears: it never falls, also when the annotation is gone."""
    return max(_requested(scene, site), _answered(scene, site))


def minimum_of(scene: Scene, site: str) -> int:
    """Returns how many new patients a new update of a site must bring: any number where a person asks for it."""
    asked = _requested(scene, site) > _answered(scene, site)
    return 0 if asked else scene.model.resource.spec.trigger.minimum_new_patients


def _requested(scene: Scene, site: str) -> int:
    text = scene.model.resource.metadata.annotations.get(REQUEST + site, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _answered(scene: Scene, site: str) -> int:
    updates = (update.spec.counter for update in scene.updates if update.spec.site == site)
    outcomes = (outcome.occasion.counter for outcome in scene.outcomes.values() if outcome.site == site)
    return max((*updates, *outcomes), default=0)


def _site(scene: Scene, name: str) -> ObservedSite:
    if name not in scene.sites:
        lost = any(version.site == name for _, version in scene.lineage)
        return ObservedSite(problem=f"there is no Site {name!r} in this namespace", lost=lost)
    site = scene.sites[name]
    source, outcomes = source_of(site), [one for one in scene.outcomes.values() if one.site == name]
    snapshots = {version.snapshot for _, version in scene.lineage if version.site == name}
    learned = [one for one in outcomes if one.snapshot in snapshots and one.kind is not OutcomeKind.TOO_FEW_PATIENTS]
    same = [one for one in outcomes if one.occasion.arrival.fingerprint == source]
    known = bool(source) and any(one in learned for one in same)
    seen = site.resource.status.source
    return ObservedSite(
        learned=known,
        candidates=() if known else tuple(decided(scene, same)),
        problem=_problem(site),
        source=source,
        changed=seen.changed if seen else None,
        patients=seen.patients if seen else 0,
        learned_patients=max((one.occasion.arrival.patients for one in learned), default=0),
        requested=_requested(scene, name),
        answered=_answered(scene, name),
    )


def _problem(site: Loaded[Site]) -> str:
    """Why the source cannot be read. One that does not answer for a moment keeps what was seen of it."""
    readable = next((c for c in site.resource.status.conditions if c.type == "Readable"), None)
    return readable.message if readable and readable.status == "False" else ""


def _update(scene: Scene, update: ModelUpdate, sites: dict[str, ObservedSite]) -> ObservedUpdate:
    spec, outcome, model = update.spec, scene.outcome(update), scene.model.resource
    source = sites[spec.site].source if spec.site in sites else ""
    today = claim_digest(model, spec.site, source, scene.champion, counter_of(scene, spec.site))
    version = outcome.version if outcome else ""
    return ObservedUpdate(
        name=update.metadata.name,
        site=spec.site,
        source=spec.source,
        base=spec.base or "",
        current=spec.claim == today,
        created=update.metadata.creation_timestamp or scene.now,
        claim=_claim(scene, spec.claim),
        runs=scene.runs_of(update.metadata.name),
        outcome=outcome,
        candidate=candidate_of(scene, update, version) if version else None,
        promoted=version in scene.history.lineage,
        superseded=version in scene.history.superseded,
    )


def _claim(scene: Scene, claim: str) -> Claim | None:
    entry = scene.history.claims.get(claim)
    return _to_claim(scene, entry) if entry else None


def _to_claim(scene: Scene, entry: LogEntry) -> Claim:
    return Claim(entry.who == scene.identity, time_of(entry.deadline))


def _foreign_until(scene: Scene) -> datetime | None:
    """Until when another operator has the turn: its claim is newer than the champion, and nothing came of it yet."""
    kinds = (EntryKind.PROMOTE, EntryKind.ROLL_BACK)
    champion_since = max((entry.number for entry in scene.entries if entry.kind in kinds), default=0)
    claims = (
        _to_claim(scene, entry)
        for subject, entry in scene.history.claims.items()
        if entry.number > champion_since and subject not in scene.outcomes
    )
    return max((claim.deadline for claim in claims if not claim.ours and claim.deadline > scene.now), default=None)


def _approval(scene: Scene, approval: UpdateApproval) -> ObservedApproval:
    spec, metadata, history = approval.spec, approval.metadata, scene.history
    named = next((one for one in scene.updates if one.metadata.name == spec.update), None)
    outcome = scene.outcome(named) if named else None
    mark = approval_mark(metadata.uid)
    decided = {
        "approved": spec.version in history.approvals,
        "rejected": history.vetoed(spec.version),
        "promoted": spec.version in history.promoted,
    }
    recorded = next((c for c in approval.status.conditions if c.type == "Recorded"), None)
    return ObservedApproval(
        name=metadata.name,
        decision=spec.decision,
        version=spec.version,
        approver=spec.approver,
        created=metadata.creation_timestamp or scene.now,
        update=spec.update or "",
        candidate=outcome.version if outcome else "",
        entry=next((entry.number for entry in scene.entries if entry.why.endswith(mark)), 0),
        decided=frozenset(word for word, true in decided.items() if true),
        refused=recorded.reason if recorded and recorded.status == "False" else "",
    )


def _evaluation(scene: Scene) -> ObservedEvaluation | None:
    spec = scene.model.resource.spec.evaluation
    first = next((entry for entry in scene.entries if entry.kind is EntryKind.PROMOTE), None)
    if spec is None or first is None:
        return None
    due = last_firing(spec.schedule, scene.now)
    name = evaluation_name(scene.model.name, due or scene.now)
    found = read_monitoring(scene.registry, name) if due else None
    runs = () if found else scene.runs_of(name)
    return ObservedEvaluation(time_of(first.time), due, next_firing(spec.schedule, scene.now), name, runs, found)
