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

from anamnesis.operator.api import ContinualModel, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.status import SiteStatus
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Job, Run, RunState
from anamnesis.operator.controllers.continualmodel.controller import ModelReconciler
from anamnesis.operator.controllers.continualmodel.state_reader import ReconcileOptions
from anamnesis.operator.runtime.reconcile_key import Key
from anamnesis.records import (
    Measurement,
    Metric,
    Monitoring,
    UnreachableError,
    Window,
    decode,
)
from anamnesis.registry import History, Log, fold, write_monitoring
from anamnesis.storage import Store
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest
from toys.documents import Json, document, model_spec, site_spec
from toys.memory_cluster import MemoryCluster
from toys.memory_store import MemoryStore
from toys.pretended import digest, pretend

SPACE = "hospital"
REQUIRED = {"gate": {"floor": "0.5", "margin": "0.1", "approval": "Required"}}
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class KilledError(BaseException):
    """The process was killed: nothing but a new process goes on."""


class Network:
    """What all clusters share: time, sources, stores."""

    def __init__(self) -> None:
        self.now = START
        self.sources: dict[str, tuple[str, int, datetime]] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.quality: dict[str, str] = {}
        self.writes_left: int | None = None
        self.unreachable = False
        self.hospitals = 0

    def clock(self) -> datetime:
        return self.now

    def drop(self, site: str, content: str, patients: int = 10, quality: str = "0.9") -> None:
        """New data lies at a site; a model trained on it scores ``quality`` on every test set."""
        self.sources[site] = (content, patients, self.now)
        self.quality[digest(content)] = quality

    def store(self, url: str, environment: Mapping[str, str] | None = None) -> Store:
        if self.unreachable:
            raise UnreachableError(f"{url}: no answer")
        if url not in self.stores:
            self.stores[url] = MemoryStore(url)
            self.stores[url].before = lambda key: self.write()
        return self.stores[url]

    def write(self) -> None:
        """Counts a write to anything; kills the process where its last one is over."""
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise KilledError
            self.writes_left -= 1


class PretendBackend:
    """Runs that a test moves on; they survive the operator, as they do on a cluster."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.found: dict[str, Run] = {}
        self.jobs: dict[str, Job] = {}
        self.submitted: list[str] = []

    def runs(self, prefix: str) -> tuple[Run, ...]:
        if self.network.unreachable:
            raise UnreachableError("the back end does not answer")
        return tuple(run for run in self.found.values() if run.name.startswith(prefix))

    def submit(self, job: Job) -> Run:
        self.network.write()
        if job.name not in self.found:
            self.submitted.append(job.name)
            self.jobs[job.name] = job
            self.found[job.name] = Run(job.name, job.name, RunState.RUNNING, self.network.now)
        return self.found[job.name]

    def cancel(self, run: Run) -> None:
        self.network.write()
        if run.name in self.found and not self.found[run.name].state.final:
            self.end(run.name, RunState.CANCELLED)

    @property
    def live(self) -> list[str]:
        return [name for name, run in self.found.items() if not run.state.final]

    def claim(self, name: str) -> str:
        """The claim that a run works under."""
        request = json.loads(str(self.jobs[name].arguments["request"]))
        return str(request["occasion"]["claim"]) if "occasion" in request else name

    def end(self, name: str, state: RunState, message: str = "") -> None:
        self.found[name] = replace(self.found[name], state=state, finished=self.network.now, message=message)

    def work(self, name: str) -> None:
        """Does what the run's pods do, then ends it."""
        text = str(self.jobs[name].arguments["request"])
        if "occasion" in json.loads(text):
            self._update(decode(UpdateRequest, json.loads(text), "request"))
        else:
            self._evaluate(decode(EvaluationRequest, json.loads(text), "request"))
        self.end(name, RunState.SUCCEEDED)

    def _update(self, asked: UpdateRequest) -> None:
        content, patients, _ = self.network.sources[asked.site.name]
        quality = self.network.quality[digest(content)]
        pretend(asked, self.network.store(asked.registry), self.network.store(asked.store), content, patients, quality)

    def _evaluate(self, asked: EvaluationRequest) -> None:
        found = []
        for config, site in asked.sites:
            content = self.network.sources[config.name][0]
            score = Metric(Decimal(self.network.quality[digest(content)]), 40)
            recorded = Decimal("0.9")
            metric = site.task.primary_metric
            found.append(Measurement(site.name, site.task.name, Window.FROZEN, site.test_set, metric, score, recorded))
            found.append(Measurement(site.name, site.task.name, Window.RECENT, site.test_set, metric, score))
        store = self.network.store(asked.registry)
        write_monitoring(store, Monitoring(asked.name, asked.version, asked.time, tuple(found)))


class Hospital:
    """One cluster with one model of some sites, and its operator, which may be killed and started again."""

    def __init__(
        self, network: Network, spec: Mapping[str, object], sites: tuple[str, ...] = ("north", "south")
    ) -> None:
        self.network, self.sites = network, sites
        network.hospitals += 1
        self.cluster = MemoryCluster(network.clock, network.hospitals * 10_000)  # uids of its own
        self.cluster.guarded_since = START - timedelta(days=1)
        self.cluster.before = lambda verb, resource: network.write()
        self.backend = PretendBackend(network)
        self.approvals = itertools.count(1)
        for site in sites:
            self.cluster.create(Site.model_validate(site_document(site)))
        self.cluster.create(ContinualModel.model_validate(model_document(spec, sites)))
        self.start()

    def start(self) -> None:
        """Starts a new process: nothing of the old one is remembered."""
        options = ReconcileOptions({}, Path("/nowhere"), lambda model: self.backend, self.network.store)
        self.reconciler = ModelReconciler(self.cluster, self.network.clock, options)

    @property
    def model(self) -> ContinualModel:
        found = self.cluster.get(ContinualModel, SPACE, "chest")
        assert found is not None
        return found

    @property
    def registry(self) -> Store:
        return self.network.stores.setdefault("s3://models/chest", MemoryStore("s3://models/chest"))

    @property
    def updates(self) -> tuple[ModelUpdate, ...]:
        return self.cluster.list(ModelUpdate, SPACE, {"spec.model": "chest"})

    def states(self) -> dict[str, str]:
        return {site.name: site.state for site in self.model.status.sites}

    def look(self) -> None:
        """Does what reconciling the Sites does."""
        for name in self.sites:
            site = self.cluster.get(Site, SPACE, name)
            if site is not None and name in self.network.sources:
                content, patients, changed = self.network.sources[name]
                source = {"fingerprint": digest(f"listing of {content}"), "files": patients, "patients": patients}
                status = {"source": {**source, "changed": changed}}
                self.cluster.put_status(site, SiteStatus.model_validate(status))

    def reconcile(self) -> timedelta | None:
        self.look()
        return self.reconciler.reconcile(Key("ContinualModel", SPACE, "chest"))

    def learn(self) -> None:
        """An update begins, runs and is decided."""
        self.reconcile()
        self.work()
        self.reconcile()

    def killed_after(self, writes: int) -> None:
        """Reconciles in a process that is killed before its next write but so many; then a new one is there."""
        self.look()
        self.network.writes_left = writes
        with contextlib.suppress(KilledError):
            self.reconciler.reconcile(Key("ContinualModel", SPACE, "chest"))
        self.network.writes_left = None
        self.start()

    def work(self) -> None:
        """Every run that lives does its work."""
        for name in self.backend.live:
            self.backend.work(name)

    def edit(self, **changes: object) -> None:
        """Changes fields of the model's spec."""
        self.cluster.edit(self.model.model_copy(update={"spec": self.model.spec.model_copy(update=changes)}))

    def ask(self, site: str, counter: int) -> None:
        """Asks for an update by the annotation."""
        metadata = self.model.metadata
        annotations = {**metadata.annotations, f"update.anamnesis.dev/{site}": str(counter)}
        changed = metadata.model_copy(update={"annotations": annotations})
        self.cluster.edit(self.model.model_copy(update={"metadata": changed}))

    def say(self, decision: str, version: str, update: str = "", who: str = "rossi") -> UpdateApproval:
        """A person's word."""
        about = {"model": "chest"} if decision == "RollBack" else {"update": update}
        spec = {**about, "version": version, "decision": decision, "approver": who, "reason": "reviewed"}
        said = document("UpdateApproval", f"word-{next(self.approvals)}", spec, {"namespace": SPACE})
        return self.cluster.create(UpdateApproval.model_validate(said))

    def heard(self, word: UpdateApproval) -> tuple[str, str]:
        """What became of a word: status and reason of its condition."""
        found = self.cluster.get(UpdateApproval, SPACE, word.metadata.name)
        assert found is not None
        recorded = found.status.condition("Recorded")
        return (recorded.status, recorded.reason) if recorded else ("", "")

    def decide_all(self, decision: str = "Approve") -> None:
        """A person answers everything that waits."""
        for update in self.updates:
            decided = update.status.condition("Decided")
            if decided and decided.reason == "AwaitingApproval" and update.status.version:
                self.say(decision, update.status.version, update.metadata.name)

    def history(self) -> History:
        return fold(Log(self.registry).entries())


def site_document(name: str) -> Json:
    source = {"type": "S3", "s3": {"url": f"s3://arrivals/{name}"}}
    return document("Site", name, site_spec(source, f"s3://images/{name}"), {"namespace": SPACE})


def model_document(changes: Mapping[str, object], sites: tuple[str, ...]) -> Json:
    gate = {"floor": "0.5", "margin": "0.1", "approval": "Automatic"}
    spec = model_spec(sites, {"gate": gate, "trigger": {"quietPeriod": "0s"}, **changes})
    return document("ContinualModel", "chest", spec, {"namespace": SPACE})
