"""The statuses of a model's ModelUpdates and UpdateApprovals."""

from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.conditions import Condition, condition, cut, merge
from anamnesis.operator.api.status import ModelUpdateStatus, UpdateApprovalStatus
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Run, RunState
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.plan import ApprovalState, ApprovalStatus, Observed, UpdateState, UpdateStatus


def update_status(scene: Scene, update: ModelUpdate, planned: UpdateStatus, observed: Observed) -> ModelUpdateStatus:
    """Returns the status of an update."""
    name, metadata, outcome = update.metadata.name, update.metadata, scene.outcome(update)
    seen = next(one for one in observed.updates if one.name == name)
    run = seen.runs[-1] if seen.runs else None
    conditions = (
        _claimed(seen.claim is not None, planned.state),
        _run_succeeded(run, outcome is not None),
        condition("Decided", planned.state.final, planned.state.value, planned.message),
    )
    values = {
        "observed_generation": metadata.generation,
        "conditions": merge(update.status.conditions, conditions, metadata.generation, scene.now),
        "run": _run(run, name) if run else update.status.run,  # a back end may forget a run, the resource does not
        "snapshot": outcome.snapshot if outcome else None,
        "version": (outcome.version or None) if outcome else None,
        "verdict": seen.candidate.verdict.value if seen.candidate else "",
        "new_patients": outcome.new_patients if outcome else 0,
        "finished": (update.status.finished or scene.now) if planned.state.final else None,
    }
    return ModelUpdateStatus.model_validate(values, by_name=True, by_alias=False)


def _claimed(made: bool, state: UpdateState) -> Condition:
    if state is UpdateState.CLAIMED_ELSEWHERE:
        return condition("Claimed", False, "ClaimedElsewhere", "another operator that shares the registry works on it")
    return (
        condition("Claimed", made, "Claimed", "in the registry's log")
        if made
        else condition("Claimed", False, "NotClaimed", "no run has begun")
    )


def _run_succeeded(run: Run | None, found: bool) -> Condition:
    if found:
        return condition("RunSucceeded", True, "Succeeded", "it told what it found")
    if run is None:
        return condition("RunSucceeded", None, "NotStarted", "no run has begun")
    if not run.state.final:
        return condition("RunSucceeded", None, run.state.value, run.name)
    reason = "NoOutcome" if run.state is RunState.SUCCEEDED else run.state.value
    return condition("RunSucceeded", False, reason, run.message)


def _run(run: Run, update: str) -> dict[str, object]:
    return {
        "name": run.name,
        "id": run.id,
        "attempt": int(run.name.removeprefix(f"{update}-")),
        "state": run.state.value,
        "message": cut(run.message),
        "started": run.created.replace(microsecond=0),
        "finished": run.finished.replace(microsecond=0) if run.finished else None,
    }


def approval_status(
    scene: Scene, approval: UpdateApproval, planned: ApprovalStatus, observed: Observed
) -> UpdateApprovalStatus:
    """Returns the status of a person's word; one that was refused stays as it was told."""
    seen = next(one for one in observed.approvals if one.name == approval.metadata.name)
    if seen.refused:
        return approval.status
    told = None if planned.state is ApprovalState.PENDING else not planned.state.refused
    conditions = (condition("Recorded", told, planned.state.value, planned.message),)
    generation = approval.metadata.generation
    values = {
        "observed_generation": generation,
        "conditions": merge(approval.status.conditions, conditions, generation, scene.now),
        "log_entry": seen.entry,
    }
    return UpdateApprovalStatus.model_validate(values, by_name=True, by_alias=False)
