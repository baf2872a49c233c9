"""The status of a ContinualModel."""

from collections import Counter
from datetime import datetime

from anamnesis.operator.api.conditions import Condition, condition, cut, merge
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.status import ContinualModelStatus
from anamnesis.operator.controllers.continualmodel.conditions.task_scores import drifting, forgetting, task_statuses
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.plan import SiteState, SiteStatus, Status, UpdateState
from anamnesis.records import EntryKind

_NEEDS_A_PERSON = {SiteState.FAILED, SiteState.UNREADABLE, SiteState.OUTSIDE_CHANGE_PLAN}


def model_status(scene: Scene, planned: Status, next_evaluation: datetime | None) -> ContinualModelStatus:
    """Returns the status of the model.

    Args:
        scene: what is there.
        planned: what the plan says.
        next_evaluation: when the next scheduled evaluation is due, or was, or none.
    """
    found, entries, model = scene.monitoring, scene.entries, scene.model.resource
    tasks = task_statuses(scene, found)
    flying = next((name for name, one in planned.updates.items() if not one.state.final), None)
    conditions = (
        _ready(scene.champion),
        _progressing(planned, flying),
        _stalled(planned),
        _awaiting(planned, flying),
        forgetting(scene, tasks, found),
        drifting(tasks),
        condition("BackendReachable", True, "Reachable", "it answers"),
    )
    evaluating = next((run.name for run in scene.runs if "-evaluation-" in run.name and not run.state.final), "")
    values = {
        "observed_generation": model.metadata.generation,
        "conditions": merge(model.status.conditions, conditions, model.metadata.generation, scene.now),
        "champion": scene.champion or None,
        "promoted": _in_use_since(scene),
        "head": {"number": entries[-1].number, "digest": entries[-1].digest} if entries else None,
        "update": flying,
        "sites": [_site(scene, one) for one in planned.sites],
        "tasks": tasks,
        "decisions": _counts(scene),
        "evaluation": {"last": found.time if found else None, "next": next_evaluation, "run": evaluating},
    }
    return ContinualModelStatus.model_validate(values, by_name=True, by_alias=False)


def broken_status(model: ContinualModel, kind: str, reason: str, message: str, now: datetime) -> ContinualModelStatus:
    """Returns the status of a model that cannot be worked on: what was last known of it, and why not more.

    Args:
        model: the resource.
        kind: the condition that says why: ``Ready`` or ``BackendReachable``.
        reason: its reason.
        message: for people.
        now: the time, UTC.
    """
    kept = [one for one in model.status.conditions if one.type not in (kind, "Ready", "Stalled")]
    bad, stalled = condition(kind, False, reason, message), condition("Stalled", True, reason, message)
    champion = model.status.champion
    ready = [_ready(champion)] if champion else []  # the registry was read before the back end was asked
    wanted = [bad, stalled, *kept] if kind == "Ready" else [*ready, stalled, *kept, bad]
    generation = model.metadata.generation
    conditions = merge(model.status.conditions, wanted, generation, now)
    return model.status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def _in_use_since(scene: Scene) -> str | None:
    """When the champion came into use, or back into use by a rollback."""
    kinds = (EntryKind.PROMOTE, EntryKind.ROLL_BACK)
    times = [entry.time for entry in scene.entries if entry.kind in kinds and entry.subject == scene.champion]
    return times[-1] if times else None


def _ready(champion: str) -> Condition:
    if not champion:
        return condition("Ready", False, "NoChampion", "no version was promoted yet")
    return condition("Ready", True, "ChampionInUse", f"{champion[:19]} is in use")


def _progressing(planned: Status, flying: str | None) -> Condition:
    if flying is None:
        waiting = "; ".join(f"{one.name}: {one.state.value} {one.message}".rstrip() for one in planned.sites)
        return condition("Progressing", False, "Idle", waiting)
    found = planned.updates[flying]
    return condition("Progressing", True, found.state.value, f"{flying}: {found.message}")


def _stalled(planned: Status) -> Condition:
    bad = [one for one in planned.sites if one.state in _NEEDS_A_PERSON]
    if bad:
        return condition("Stalled", True, bad[0].state.value, "; ".join(f"{one.name}: {one.message}" for one in bad))
    if planned.evaluation:
        return condition("Stalled", True, "EvaluationFailed", planned.evaluation)
    return condition("Stalled", False, "NothingToDo")  # a column of its own shows the message: where all is well, none


def _awaiting(planned: Status, flying: str | None) -> Condition:
    if flying and planned.updates[flying].state is UpdateState.AWAITING_APPROVAL:
        return condition("AwaitingApproval", True, "WaitsForAPerson", f"{flying}: {planned.updates[flying].message}")
    return condition("AwaitingApproval", False, "NothingWaits", "no version waits for a person")


def _site(scene: Scene, planned: SiteStatus) -> dict[str, object]:
    """One site's line: its state, and what the last ingest that an update tells of, or the snapshot in use, holds."""
    lineage = [(digest, version.snapshot) for digest, version in scene.lineage if version.site == planned.name]
    entries = [scene.promotion(digest) for digest, _ in lineage]
    learned = next((entry.time for entry in reversed(entries) if entry), None)
    ingested = {one.snapshot or "": one for one in scene.outcomes.values() if one.site == planned.name}
    outcomes = [ingested.get(snapshot or "") for _, snapshot in lineage]  # the registry keeps what updates may not
    outcomes += [scene.outcome(update) for update in scene.updates if update.spec.site == planned.name]
    counts = next((outcome.counts for outcome in reversed(outcomes) if outcome), {})
    splits = ("train", "test", "reserve", "pending")
    return {
        "name": planned.name,
        "state": planned.state.value,
        "message": cut(planned.message),
        "quarantined": counts.get("quarantined", 0),
        "samples": sum(counts.get(split, 0) for split in splits),
        "learned": learned,
    }


def _counts(scene: Scene) -> dict[str, int]:
    count = Counter(entry.kind for entry in scene.entries)
    kinds = {
        "promoted": EntryKind.PROMOTE,
        "rejected": EntryKind.REJECT,
        "superseded": EntryKind.SUPERSEDE,
        "rolled_back": EntryKind.ROLL_BACK,
    }
    return {name: count[kind] for name, kind in kinds.items()}
