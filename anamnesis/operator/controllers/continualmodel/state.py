"""Reads everything that planning for one model on a cluster needs, at one moment."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend, Run
from anamnesis.operator.controllers.continualmodel.names import identity, prefix
from anamnesis.operator.requests import gate_policy, learned_sites
from anamnesis.records import Decision, EntryKind, LogEntry, Monitoring, Outcome, SiteRef, Version, decode
from anamnesis.registry import History, fold, judge, list_outcomes, read_monitoring, read_version
from anamnesis.registry.run_results import MONITORING
from anamnesis.snapshots import current_test_set
from anamnesis.storage import Store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.required_tests import required_tests

OpenStore = Callable[[str], Store]


@dataclass(frozen=True)
class Scene:
    """What is there for one model.

    Attributes:
        model: the resource.
        sites: those of its sites that exist.
        updates: its ModelUpdates, oldest first.
        approvals: its UpdateApprovals, oldest first.
        guarded_since: see ``Cluster.approvals_guarded_since``.
        registry: its registry.
        open_store: opens a site's store.
        backend: carries its runs out.
        entries: of the registry's log.
        split_key: where the model's split key is.
        now: when this was read.
    """

    model: Loaded[ContinualModel]
    sites: Mapping[str, Loaded[Site]]
    updates: tuple[ModelUpdate, ...]
    approvals: tuple[UpdateApproval, ...]
    guarded_since: datetime | None
    registry: Store
    open_store: OpenStore
    backend: Backend
    entries: tuple[LogEntry, ...]
    split_key: str
    now: datetime

    @cached_property
    def history(self) -> History:
        """What the log says."""
        return fold(self.entries)

    @property
    def champion(self) -> str:
        """Digest of the version in use, or empty."""
        return self.history.champion or ""

    @cached_property
    def outcomes(self) -> Mapping[str, Outcome]:
        """By claim."""
        return {outcome.occasion.claim: outcome for outcome in list_outcomes(self.registry)}

    @cached_property
    def versions(self) -> Mapping[str, Version]:
        """By digest: the champion's lineage and every version that a run here gave."""
        wanted = {*self.history.lineage, *(o.version for o in self.outcomes.values() if o.version)}
        return {digest: read_version(self.registry, digest) for digest in sorted(wanted)}

    @cached_property
    def lineage(self) -> tuple[tuple[str, Version], ...]:
        """The champion's versions, oldest first."""
        return tuple((digest, self.versions[digest]) for digest in reversed(self.history.lineage))

    @cached_property
    def learned(self) -> tuple[SiteRef, ...]:
        """The model's sites that the champion has learned, in the order it did, each with its test set in force."""
        names = {version.site for _, version in self.lineage} & set(self.sites)
        stores = {name: self.open_store(store_url(self.sites[name])) for name in names}
        sets = {name: current_test_set(store) for name, store in stores.items()}
        return learned_sites(self.lineage, self.sites, sets)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the model, oldest first."""
        return self.backend.runs(prefix(self.model.name))

    @cached_property
    def monitoring(self) -> Monitoring | None:
        """The champion's last scheduled evaluation, or none."""
        names = [info.key.removeprefix(MONITORING).removesuffix(".json") for info in self.registry.list(MONITORING)]
        for name in sorted(names, reverse=True):
            found = read_monitoring(self.registry, name)
            if found and found.version == self.champion:
                return found
        return None

    @cached_property
    def identity(self) -> str:
        """Who this operator is, in the registry's log."""
        return identity(self.model.resource)

    def update(self, name: str) -> ModelUpdate:
        """Returns one of the updates."""
        return next(update for update in self.updates if update.metadata.name == name)

    def runs_of(self, name: str) -> tuple[Run, ...]:
        """Returns the runs of an update or evaluation: those called ``<name>-<number>``, in that order."""
        pattern = re.compile(rf"{re.escape(name)}-([0-9]+)")
        numbered = {int(match[1]): run for run in self.runs if (match := pattern.fullmatch(run.name))}
        return tuple(numbered[number] for number in sorted(numbered))

    def outcome(self, update: ModelUpdate) -> Outcome | None:
        """Returns what a run of an update found, or none yet."""
        return self.outcomes.get(update.spec.claim)

    def judged(self, update: ModelUpdate) -> Decision | None:
        """Returns what the gate says now of the version that an update gave; none where it gave none."""
        outcome = self.outcome(update)
        if outcome is None or not outcome.version:
            return None
        request = decode(UpdateRequest, json.loads(update.spec.request), f"{update.metadata.name}: spec.request")
        policy = gate_policy(self.model.resource.spec.gate)  # today's gate, on the test sets that the run was asked for
        return judge(self.registry, outcome.version, policy, required_tests(request, outcome.test_set))

    def promotion(self, version: str) -> LogEntry | None:
        """Returns the entry by which a version became champion, or none."""
        return next((e for e in self.entries if e.kind is EntryKind.PROMOTE and e.subject == version), None)
