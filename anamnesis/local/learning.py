"""Runs updates on this machine and reports their progress."""

from collections.abc import Iterable
from dataclasses import dataclass

from anamnesis.local.context import SelectedModel
from anamnesis.local.pipeline_runner import LocalPipelineRunner
from anamnesis.local.progress import Reporter
from anamnesis.local.sources import make_ingester, make_site_inspector
from anamnesis.local.updates import (
    build_update_request,
    create_split_key,
    observe_and_plan,
    pending_updates,
    write_local_status,
)
from anamnesis.operator.api import LoadedResource, Site
from anamnesis.operator.plan import PlannedModelStatus, SiteState
from anamnesis.pipelines.run_record import RunRecord
from anamnesis.records import Decision, InputError, Progress, decode, short_digest
from anamnesis.records.timestamps import utc_now
from anamnesis.updates.requests import UpdateRequest


@dataclass(frozen=True, slots=True)
class LearnedUpdate:
    """One update that ran.

    Attributes:
        site: whose data was learned.
        run: name of the run's folder.
        version: digest of the candidate.
        verdict: of the gate.
        promoted: whether it is the champion.
        reason: the gate's reason.
    """

    site: str
    run: str
    version: str
    verdict: str
    promoted: bool
    reason: str

    @property
    def summary(self) -> str:
        """One line for people; the details of the reason are in the report."""
        promotion, reason = "promoted" if self.promoted else "not promoted", self.reason.partition(":")[0]
        return f"{short_digest(self.version)} {promotion}; verdict of the gate: {self.verdict}, {reason}"


@dataclass(frozen=True, slots=True)
class LearningResult:
    """The updates of one model that a command ran.

    Attributes:
        model: its name.
        updates: in the order in which they ran.
        status: the model's status afterwards.
    """

    model: str
    updates: tuple[LearnedUpdate, ...]
    status: PlannedModelStatus


def learn(selected_model: SelectedModel, progress_reporter: Reporter, author: str, workers: int) -> LearningResult:
    """Runs updates until none is left.

    Raises:
        InputError: the data of a site is not readable.
        AnamnesisError: a step failed.
    """
    local_context = selected_model.local_context(author)
    requests = pending_updates(
        local_context,
        make_site_inspector(selected_model),
        make_ingester(selected_model, progress_reporter, workers),
        utc_now,
    )
    result = _run_updates(selected_model, requests, progress_reporter=progress_reporter, author=author, workers=workers)
    for site in result.status.sites:
        if site.state is SiteState.UNREADABLE:
            raise InputError(f"Site {site.name} is not readable: {site.message}")
    return result


def learn_site(
    selected_model: SelectedModel, site: LoadedResource[Site], progress_reporter: Reporter, author: str, workers: int
) -> LearningResult:
    """Runs one update with the data of ``site`` on top of the champion."""
    local_context = selected_model.local_context(author)
    observation, _, _ = observe_and_plan(local_context, make_site_inspector(selected_model), utc_now)
    return _run_updates(
        selected_model,
        [build_update_request(local_context, observation, site.name)],
        progress_reporter=progress_reporter,
        author=author,
        workers=workers,
    )


def _run_updates(
    selected_model: SelectedModel,
    requests: Iterable[UpdateRequest],
    progress_reporter: Reporter,
    author: str,
    workers: int,
) -> LearningResult:
    local_context, learned_updates = selected_model.local_context(author), []
    selected_model.establish_registry()
    pipeline_runner = LocalPipelineRunner(selected_model.state.runs, utc_now, workers)
    progress = progress_reporter.track(selected_model.model.name)
    for request in requests:
        create_split_key(request.store, request.site.name, request.split_key)
        record = pipeline_runner.run(request, _prefix_progress(request.site.name, progress))
        learned_updates.append(_read_learned_update(request, record))
        progress_reporter.print_line(f"{request.model}: {request.site.name}: {learned_updates[-1].summary}")
        write_local_status(
            local_context, observe_and_plan(local_context, make_site_inspector(selected_model), utc_now)[2]
        )
    progress(1, 1, "done")
    _, _, status = observe_and_plan(local_context, make_site_inspector(selected_model), utc_now)
    write_local_status(local_context, status)
    return LearningResult(selected_model.model.name, tuple(learned_updates), status)


def _read_learned_update(request: UpdateRequest, record: RunRecord) -> LearnedUpdate:
    outputs = record.step("promote_model").outputs
    decision = decode(Decision, outputs["decision"], "decision")
    promoted = bool(outputs["promoted"])
    return LearnedUpdate(
        request.site.name,
        record.id,
        version=decision.candidate,
        verdict=decision.verdict.value,
        promoted=promoted,
        reason=decision.reason,
    )


def _prefix_progress(site: str, progress: Progress) -> Progress:
    return lambda done, total, what: progress(done, total, f"{site}: {what}")
