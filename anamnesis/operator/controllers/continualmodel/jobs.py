"""The pipelines that the operator submits, and whether a run that waits is still what it would submit."""

import re
from collections.abc import Sequence
from dataclasses import replace

from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend, PipelineJob, Run, RunState
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.requests import update_request
from anamnesis.records import encode_object


def update_job(update: ModelUpdate, name: str) -> PipelineJob:
    """Returns the pipeline of an update's run."""
    from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments

    request = replace(update.spec.request, run=name)
    return PipelineJob(
        name, compiled_pipeline(request.configuration.method), pipeline_arguments(encode_object(request))
    )


def is_request_current(state: ModelState, update: ModelUpdate) -> bool:
    """Returns whether an update made now would give its runs the same request, but for what its claim stands for."""
    request, site = update.spec.request, state.sites.get(update.spec.site)
    if site is None:
        return True
    new_request = update_request(
        state.model,
        site,
        split_key=state.split_keys[update.spec.site],
        base=request.base,
        learned_sites=request.sites,
        author=request.author,
        trigger=request.trigger,
    )
    return encode_object(new_request) == encode_object(request)


def mark_outdated_runs(backend: Backend, runs: Sequence[Run], updates: Sequence[ModelUpdate]) -> tuple[Run, ...]:
    """Returns the runs; those of updates that wait for a pod, or were cancelled, with ``is_outdated``.

    Of other runs it does not matter: a step that runs is never ended for a setting.
    """
    updates_by_name = {update.metadata.name: update for update in updates}
    marked_runs = []
    for run in runs:
        update = updates_by_name.get(re.sub(r"-[0-9]+$", "", run.name))
        if update is not None and _needs_check(run, update):
            run = replace(run, is_outdated=backend.is_outdated(run, update_job(update, run.name)))
        marked_runs.append(run)
    return tuple(marked_runs)


def _needs_check(run: Run, update: ModelUpdate) -> bool:
    """A run that ended by a cancel is judged once, while the status does not have its end yet."""
    if run.waiting_since:
        return True
    recorded_run = update.status.run
    is_judged = recorded_run is not None and recorded_run.id == run.id and RunState(recorded_run.state).is_final
    is_last = recorded_run is None or recorded_run.id == run.id
    return run.state in (RunState.CANCELLING, RunState.CANCELLED) and is_last and not is_judged
