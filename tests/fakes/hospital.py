"""A whole network in memory: sources, registry, back end, clusters; everything but training and images is real.

Time stands still unless it is moved. Any write may be made to fail, as if the process had been killed before it.
"""

import contextlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from builders.resource_documents import Json, document, model_spec, site_spec

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.annotations import UPDATE_REQUEST_PREFIX
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.condition_types import DECIDED, RECORDED
from anamnesis.operator.api.status import SiteStatus, UpdateApprovalStatus
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import PipelineJob, Run, RunState
from anamnesis.operator.controllers.continualmodel.controller import ModelReconciler
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import (
    EvaluationSet,
    Measurement,
    Metric,
    ScheduledEvaluation,
    UnreachableError,
    decode,
)
from anamnesis.registry import History, Log, build_history, write_scheduled_evaluation
from anamnesis.registry.opening import sign_with
from anamnesis.storage import Store
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest
from fakes.memory_cluster import MemoryCluster
from fakes.memory_store import MemoryStore
from fakes.update_pods import digest, simulate_update

SPACE = "hospital"
AUTOMATIC_GATE: Json = {
    "floor": "0.5",
    "margin": "0.1",
    "recallFloor": "0.5",
    "recallMargin": "0.1",
    "approval": "Automatic",
}
APPROVAL_REQUIRED = {"gate": AUTOMATIC_GATE | {"approval": "Required"}}
SHARED = {"registry": {"url": "s3://models/chest", "shared": True}}
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class OperatorKilledError(BaseException):
    """The process was killed: nothing but a new process goes on."""


class HospitalNetwork:
    """What all clusters share: time, sources, stores."""

    def __init__(self) -> None:
        self.now = START
        self.sources: dict[str, tuple[str, int, datetime]] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.quality: dict[str, str] = {}
        self.corrected_labels: dict[str, int] = {}
        self.extra_counts: dict[str, dict[str, int]] = {}
        self.holds: dict[str, str] = {}
        self.writes_left: int | None = None
        self.unreachable = False
        self.hospital_count = 0

    def clock(self) -> datetime:
        return self.now

    def add_data(self, site: str, content: str, patients: int = 10, quality: str = "0.9") -> None:
        """New data arrives at a site; a model trained on it scores ``quality`` on every test set."""
        self.sources[site] = (content, patients, self.now)
        self.quality[digest(content)] = quality

    def store(self, url: str, environment: Mapping[str, str] | None = None) -> Store:
        if self.unreachable:
            raise UnreachableError(f"{url}: no answer")
        if url not in self.stores:
            self.stores[url] = MemoryStore(url)
            self.stores[url].before = lambda key: self.count_write()
        return self.stores[url]

    def count_write(self) -> None:
        """Counts a write to anything; kills the process where its last one is over."""
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise OperatorKilledError
            self.writes_left -= 1


class FakeBackend:
    """Runs that a test moves on; they survive the operator, as they do on a cluster."""

    def __init__(self, network: HospitalNetwork) -> None:
        self.network = network
        self.runs_by_name: dict[str, Run] = {}
        self.jobs: dict[str, PipelineJob] = {}
        self.submitted: list[str] = []
        self.outdated_runs: set[str] = set()
        self.lost_runs: set[str] = set()  # their Workflows are gone, so they never end

    def runs(self, prefix: str) -> tuple[Run, ...]:
        if self.network.unreachable:
            raise UnreachableError("the back end does not answer")
        return tuple(run for run in self.runs_by_name.values() if run.name.startswith(prefix))

    def submit(self, job: PipelineJob) -> Run:
        self.network.count_write()
        if job.name not in self.runs_by_name:
            self.submitted.append(job.name)
            self.jobs[job.name] = job
            self.runs_by_name[job.name] = Run(job.name, job.name, RunState.RUNNING, self.network.now)
        return self.runs_by_name[job.name]

    def is_outdated(self, run: Run, job: PipelineJob) -> bool:
        return run.name in self.outdated_runs

    def cancel(self, run: Run) -> None:
        self.network.count_write()
        if run.name in self.runs_by_name and not self.runs_by_name[run.name].state.is_final:
            if run.name in self.lost_runs:
                self.runs_by_name[run.name] = replace(self.runs_by_name[run.name], state=RunState.CANCELLING)
            else:
                self.end_run(run.name, RunState.CANCELLED)

    @property
    def live_runs(self) -> list[str]:
        """The runs whose pods work; those of a lost run are gone, although it is not called ended."""
        return [
            name for name, run in self.runs_by_name.items() if not run.state.is_final and name not in self.lost_runs
        ]

    def outdate_run(self, name: str) -> None:
        """A run waits for its pod, and the spec has another image now."""
        self.runs_by_name[name] = replace(self.runs_by_name[name], waiting_since=self.network.now)
        self.outdated_runs.add(name)

    def claim_of_run(self, name: str) -> str:
        """The claim that a run works under."""
        request = json.loads(str(self.jobs[name].arguments["request"]))
        return str(request["trigger"]["claim"]) if "trigger" in request else name

    def end_run(self, name: str, state: RunState, message: str = "") -> None:
        self.runs_by_name[name] = replace(
            self.runs_by_name[name], state=state, finished_at=self.network.now, message=message
        )

    def finish_run(self, name: str) -> None:
        """Does what the run's pods do, then ends it."""
        text = str(self.jobs[name].arguments["request"])
        if "trigger" in json.loads(text):
            self._simulate_update(decode(UpdateRequest, json.loads(text), "request"))
        else:
            self._simulate_evaluation(decode(EvaluationRequest, json.loads(text), "request"))
        self.end_run(name, RunState.SUCCEEDED)

    def _simulate_update(self, request: UpdateRequest) -> None:
        content, patients, _ = self.network.sources[request.site.name]
        quality = self.network.quality[digest(content)]
        simulate_update(
            request,
            sign_with(self.network.store(request.registry), request.signing),
            site_store=self.network.store(request.store),
            content=content,
            patients=patients,
            quality=quality,
            corrected_labels=self.network.corrected_labels.get(request.site.name, 0),
            extra_counts=self.network.extra_counts.get(request.site.name),
            hold=self.network.holds.get(request.site.name, ""),
        )

    def _simulate_evaluation(self, request: EvaluationRequest) -> None:
        measurements = []
        for config, site in request.sites:
            content = self.network.sources[config.name][0]
            score = Metric(Decimal(self.network.quality[digest(content)]), 40)
            recorded = Decimal("0.9")
            metric = site.task.primary_metric
            measurements.append(
                Measurement(
                    site.name,
                    site.task.name,
                    evaluation_set=EvaluationSet.FROZEN,
                    test_set=site.test_set,
                    metric=metric,
                    score=score,
                    recorded_score=recorded,
                )
            )
            measurements.append(
                Measurement(
                    site.name,
                    site.task.name,
                    evaluation_set=EvaluationSet.RECENT,
                    test_set=site.test_set,
                    metric=metric,
                    score=score,
                )
            )
        store = sign_with(self.network.store(request.registry), request.signing)
        write_scheduled_evaluation(
            store, ScheduledEvaluation(request.name, request.version, request.time, tuple(measurements))
        )


class FakeHospital:
    """One cluster with one model of some sites, and its operator, which may be killed and started again."""

    def __init__(
        self,
        network: HospitalNetwork,
        spec: Mapping[str, object],
        sites: tuple[str, ...] = ("north", "south"),
        signing_key: Path | None = None,
    ) -> None:
        self.network, self.sites, self.signing_key = network, sites, signing_key
        network.hospital_count += 1
        self.cluster = MemoryCluster(network.clock, network.hospital_count * 10_000)  # uids of its own
        self.cluster.guarded_since = START - timedelta(days=1)
        self.cluster.before = lambda verb, resource: network.count_write()
        self.backend = FakeBackend(network)
        self.approval_prefix, self.approval_numbers = f"approval-{network.hospital_count}", itertools.count(1)
        for site in sites:
            self.cluster.create(Site.model_validate(site_document(site)))
        self.spec = spec
        self.recreate_model()
        self.start_operator()

    def recreate_model(self) -> None:
        """Applies the model as it was first applied; nothing where it exists."""
        self.cluster.create(ContinualModel.model_validate(model_document(self.spec, self.sites)))

    def start_operator(self) -> None:
        """Starts a new process: nothing of the old one is remembered."""
        options = ReconcileOptions(
            {}, Path("/nowhere"), lambda model: self.backend, self.network.store, self.signing_key
        )
        self.reconciler = ModelReconciler(self.cluster, self.network.clock, options)

    @property
    def model(self) -> ContinualModel:
        model = self.cluster.get(ContinualModel, SPACE, "chest")
        assert model is not None
        return model

    @property
    def registry(self) -> Store:
        return self.network.stores.setdefault("s3://models/chest", MemoryStore("s3://models/chest"))

    @property
    def updates(self) -> tuple[ModelUpdate, ...]:
        return self.cluster.list(ModelUpdate, SPACE, {"spec.model": "chest"})

    def states(self) -> dict[str, str]:
        return {site.name: site.state for site in self.model.status.sites}

    def poll_sites(self) -> None:
        """Does what reconciling the Sites does."""
        for name in self.sites:
            site = self.cluster.get(Site, SPACE, name)
            if site is not None and name in self.network.sources:
                content, patients, changed = self.network.sources[name]
                source = {"fingerprint": digest(f"listing of {content}"), "files": patients, "patients": patients}
                status = {"source": {**source, "lastChangeTime": changed}}
                self.cluster.put_status(site, SiteStatus.model_validate(status))

    def reconcile(self) -> timedelta | None:
        self.poll_sites()
        return self.reconciler.reconcile(ReconcileKey("ContinualModel", SPACE, "chest"))

    def run_update(self) -> None:
        """An update begins, runs and is decided."""
        self.reconcile()
        self.finish_runs()
        self.reconcile()

    def reconcile_until_killed(self, writes: int) -> None:
        """Reconciles in a process that is killed before its next write but so many; then a new one is there."""
        self.poll_sites()
        self.network.writes_left = writes
        with contextlib.suppress(OperatorKilledError):
            self.reconciler.reconcile(ReconcileKey("ContinualModel", SPACE, "chest"))
        self.network.writes_left = None
        self.start_operator()

    def finish_runs(self) -> None:
        """Every run that lives does its work."""
        for name in self.backend.live_runs:
            self.backend.finish_run(name)

    def edit_model(self, **changes: object) -> None:
        """Changes fields of the model's spec."""
        self.cluster.edit(self.model.model_copy(update={"spec": self.model.spec.model_copy(update=changes)}))

    def request_update(self, site: str, counter: int) -> None:
        """Requests an update by the annotation."""
        metadata = self.model.metadata
        annotations = {**metadata.annotations, f"{UPDATE_REQUEST_PREFIX}{site}": str(counter)}
        changed = metadata.model_copy(update={"annotations": annotations})
        self.cluster.edit(self.model.model_copy(update={"metadata": changed}))

    def create_approval(
        self,
        decision: str,
        version: str = "",
        update: str = "",
        approver: str = "rossi",
        report: str | None = None,
    ) -> UpdateApproval:
        """Creates an approval in a person's name, who read a report."""
        target = {"model": "chest"} if decision in ("RollBack", "Withdraw") else {"update": update}
        versions = {"version": version} if decision != "Withdraw" else {}
        spec = {**target, **versions, "decision": decision, "approver": approver, "reason": "reviewed"}
        spec |= {"report": report} if report else {}
        document_fields = document(
            "UpdateApproval", f"{self.approval_prefix}-{next(self.approval_numbers)}", spec, {"namespace": SPACE}
        )
        return self.cluster.create(UpdateApproval.model_validate(document_fields))

    def recreate_approval(self, approval: UpdateApproval) -> None:
        """Deletes an approval and creates it again, as a tool that keeps manifests does: another uid, no status."""
        self.cluster.delete(approval)
        fields = approval.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"status", "metadata"})
        metadata = {"name": approval.metadata.name, "namespace": SPACE}
        self.cluster.create(UpdateApproval.model_validate({**fields, "metadata": metadata}))

    def wipe_approval_status(self, approval: UpdateApproval) -> None:
        """Loses the status of an approval, as a restore of a backup without statuses does."""
        self.cluster.put_status(approval, UpdateApprovalStatus())

    def approval_result(self, approval: UpdateApproval) -> tuple[str, str]:
        """Status and reason of an approval's condition."""
        stored = self.cluster.get(UpdateApproval, SPACE, approval.metadata.name)
        assert stored is not None
        recorded = stored.status.condition(RECORDED)
        return (recorded.status, recorded.reason) if recorded else ("", "")

    def decide_pending(self, decision: str = "Approve") -> None:
        """A person answers everything that waits."""
        for update in self.updates:
            decided = update.status.condition(DECIDED)
            if decided and decided.reason == "AwaitingApproval" and update.status.version:
                self.create_approval(decision, update.status.version, update.metadata.name)

    def history(self) -> History:
        return build_history(Log(self.registry).entries())


def site_document(name: str) -> Json:
    source = {"type": "S3", "s3": {"url": f"s3://arrivals/{name}"}}
    return document("Site", name, site_spec(source, f"s3://images/{name}"), {"namespace": SPACE})


def model_document(changes: Mapping[str, object], sites: tuple[str, ...]) -> Json:
    gate = AUTOMATIC_GATE
    spec = model_spec(sites, {"gate": gate, "trigger": {"quietPeriod": "0s", "minimumNewPatients": 0}, **changes})
    return document("ContinualModel", "chest", spec, {"namespace": SPACE})
