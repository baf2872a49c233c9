"""Runs updates on this machine and reports their progress."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

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
from anamnesis.local.weights_file import describe_changed_weights
from anamnesis.operator.api import LoadedResource, Site
from anamnesis.operator.plan import PlannedModelStatus, SiteState
from anamnesis.pipelines.run_record import ExecutionState, RunRecord, read_records
from anamnesis.records import (
    AnamnesisError,
    Decision,
    HeldBack,
    InputError,
    Progress,
    RefusedError,
    TaskType,
    decode,
    short_digest,
)
from anamnesis.records.timestamps import utc_now
from anamnesis.snapshots.calibration_sets import MINIMUM_PATIENTS
from anamnesis.snapshots.training_selection import describe_held_back
from anamnesis.updates.requests import UpdateRequest

_NO_OPERATING_POINT = (
    f"no operating point: fewer than {MINIMUM_PATIENTS} labelled patients could be held out, so the answers at this "
    "site have no temperature and no threshold until there are more"
)


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
        held_back: which patients wait until there are enough, in words; empty for none.
        has_operating_point: whether temperature and threshold of the site were fitted on held-out patients.
        learning_rate: of the version and where it comes from, in words; empty where it has none.
        notes: what of the file of weights and of the images is not used, or is converted.
    """

    site: str
    run: str
    version: str
    verdict: str
    promoted: bool
    reason: str
    held_back: str = ""
    has_operating_point: bool = True
    learning_rate: str = ""
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for people; the details of the reason are in the report."""
        promotion, reason = "promoted" if self.promoted else "not promoted", self.reason.partition(":")[0]
        held_back = f"; {self.held_back}" if self.held_back else ""
        point = "" if self.has_operating_point else f"; {_NO_OPERATING_POINT}"
        rate = f"; {self.learning_rate}" if self.learning_rate else ""
        verdict = f"verdict of the gate: {self.verdict}, {reason}"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"{short_digest(self.version)} {promotion}; {verdict}{held_back}{point}{rate}{notes}"


@dataclass(frozen=True, slots=True)
class LearningResult:
    """The updates of one model that a command ran.

    Attributes:
        model: its name.
        updates: in the order in which they ran.
        status: the model's status afterwards.
        failures: site -> why its data could not be read or learned.
    """

    model: str
    updates: tuple[LearnedUpdate, ...]
    status: PlannedModelStatus
    failures: Mapping[str, AnamnesisError] = field(default_factory=dict)


def learn(selected_model: SelectedModel, progress_reporter: Reporter, author: str, workers: int) -> LearningResult:
    """Runs updates until none is left. A site whose data or update fails does not stop the other sites.

    Raises:
        InputError: a field of the model is wrong, so that no update starts.
        AnamnesisError: the registry is not readable.
    """
    local_context = selected_model.local_context(author)
    failures: dict[str, AnamnesisError] = {}
    ingest_site = make_ingester(selected_model, progress_reporter, workers)

    def ingest(site: LoadedResource[Site]) -> None:
        with _record_failure(failures, site.name):
            ingest_site(site)

    requests = pending_updates(local_context, make_site_inspector(selected_model, failures), ingest, utc_now)
    result = _run_updates(
        selected_model, requests, failures, progress_reporter=progress_reporter, author=author, workers=workers
    )
    for site in result.status.sites:
        if site.state is SiteState.UNREADABLE and site.name not in failures:
            failures[site.name] = InputError(f"not readable: {site.message}")
        if site.state is SiteState.SOURCE_SHRANK and site.name not in failures:
            failures[site.name] = RefusedError(f"the update is held: {site.message}")
    if problem := result.status.spec_problem:
        raise InputError(problem)  # written to the status too
    return replace(result, failures=failures)


@contextmanager
def _record_failure(failures: dict[str, AnamnesisError], site: str) -> Iterator[None]:
    try:
        yield
    except AnamnesisError as error:
        failures[site] = error


def learn_site(
    selected_model: SelectedModel, site: LoadedResource[Site], progress_reporter: Reporter, author: str, workers: int
) -> LearningResult:
    """Runs one update with the data of ``site`` on top of the champion.

    Raises:
        RefusedError: a person withdrew the champion, so nothing is learned.
        InputError: a field of the model is wrong, so that no update starts.
        AnamnesisError: a step failed.
    """
    failures: dict[str, AnamnesisError] = {}
    local_context = selected_model.local_context(author)
    observation, _, _ = observe_and_plan(local_context, make_site_inspector(selected_model), utc_now)
    if withdrawal := observation.plan_input.withdrawal:
        raise RefusedError(
            f"{selected_model.model.name}: {withdrawal}; no update starts. To use an earlier version, run: "
            "anamnesis rollback -f FILE VERSION --reason TEXT"
        )
    if problem := observation.plan_input.spec_problem:
        raise InputError(problem)
    result = _run_updates(
        selected_model,
        [build_update_request(local_context, observation, site.name)],
        failures,
        progress_reporter=progress_reporter,
        author=author,
        workers=workers,
    )
    if failures:
        raise failures[site.name]
    return result


def _run_updates(
    selected_model: SelectedModel,
    requests: Iterable[UpdateRequest],
    failures: dict[str, AnamnesisError],
    progress_reporter: Reporter,
    author: str,
    workers: int,
) -> LearningResult:
    local_context, learned_updates = selected_model.local_context(author), []
    selected_model.establish_registry()
    if default_network := selected_model.default_network:
        progress_reporter.print_line(f"{selected_model.model.name}: {default_network.reason}")
    if changed_weights := describe_changed_weights(local_context.model, local_context.registry):
        progress_reporter.print_line(f"{selected_model.model.name}: {changed_weights}")
    pipeline_runner = LocalPipelineRunner(selected_model.state.runs, utc_now, workers)
    progress = progress_reporter.track(selected_model.model.name)
    inspect_site = make_site_inspector(selected_model, failures)
    for request in requests:
        site = request.site.name
        for line in _describe_live_runs(selected_model):
            progress_reporter.print_line(line)
        with _record_failure(failures, site):
            create_split_key(request.store, site, request.split_key)
            record = pipeline_runner.run(request, _prefix_progress(site, progress))
            learned_updates.append(_read_learned_update(request, record))
        outcome = f"failed: {failures[site]}" if site in failures else learned_updates[-1].summary
        progress_reporter.print_line(f"{request.model}: {site}: {outcome}")
        write_local_status(local_context, observe_and_plan(local_context, inspect_site, utc_now)[2])
    progress(1, 1, "done")
    _, _, status = observe_and_plan(local_context, inspect_site, utc_now)
    write_local_status(local_context, status)
    return LearningResult(selected_model.model.name, tuple(learned_updates), status)


def _describe_live_runs(selected_model: SelectedModel) -> Iterator[str]:
    """Yields what another command on this machine is doing for the model: nothing is lost, but the work is repeated."""
    for record in read_records(selected_model.state.runs):
        if record.state is ExecutionState.RUNNING:
            yield (
                f"{selected_model.model.name}: another command runs {record.id}; equal work is done twice and recorded "
                "once: to save it, stop this command, and start it again when that run has ended"
            )


def _read_learned_update(request: UpdateRequest, record: RunRecord) -> LearnedUpdate:
    outputs = record.step("promote_model").outputs
    decision = decode(Decision, outputs["decision"], "decision")
    trained = record.step(f"train_{request.configuration.method}").outputs
    held_back = decode(HeldBack, trained["held_back"], "held_back")
    promoted, task_type = bool(outputs["promoted"]), request.site.task.type
    return LearnedUpdate(
        request.site.name,
        record.id,
        version=decision.candidate,
        verdict=decision.verdict.value,
        promoted=promoted,
        reason=decision.reason,
        held_back=describe_held_back(held_back, request.minimum_patients),
        has_operating_point=trained["operating_point"] is not None or task_type is not TaskType.CLASSIFICATION,
        learning_rate=str(trained["learning_rate"]),
        notes=decode(tuple[str, ...], trained["notes"], "notes"),
    )


def _prefix_progress(site: str, progress: Progress) -> Progress:
    return lambda done, total, what: progress(done, total, f"{site}: {what}")
