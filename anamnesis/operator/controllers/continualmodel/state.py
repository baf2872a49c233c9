"""Reads everything that planning for one model on a cluster needs, at one moment."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from anamnesis.operator.addresses import store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend, Run
from anamnesis.operator.controllers.continualmodel.names import name_prefix, operator_identity
from anamnesis.operator.requests import gate_policy, learned_site_refs
from anamnesis.records import Decision, EntryKind, LogEntry, ScheduledEvaluation, SiteRef, UpdateResult, Version
from anamnesis.registry import (
    History,
    build_history,
    evaluate_gate,
    list_update_results,
    read_scheduled_evaluation,
    read_version,
)
from anamnesis.registry.run_results import SCHEDULED_EVALUATIONS
from anamnesis.snapshots import current_test_set
from anamnesis.storage import Store
from anamnesis.updates.required_tests import required_tests

OpenStore = Callable[[str], Store]


@dataclass(frozen=True)
class ModelState:
    """What is there for one model.

    Attributes:
        model: the resource.
        sites: those of its sites that exist.
        updates: its ModelUpdates, oldest first.
        approvals: its UpdateApprovals, oldest first.
        admission_policy_since: see ``Cluster.approvals_guarded_since``.
        registry: its registry.
        open_store: opens a site's store.
        backend: carries its runs out.
        entries: of the registry's log.
        split_key: where the model's split key is.
        now: when this was read.
    """

    model: LoadedResource[ContinualModel]
    sites: Mapping[str, LoadedResource[Site]]
    updates: tuple[ModelUpdate, ...]
    approvals: tuple[UpdateApproval, ...]
    admission_policy_since: datetime | None
    registry: Store
    open_store: OpenStore
    backend: Backend
    entries: tuple[LogEntry, ...]
    split_key: str
    now: datetime

    @cached_property
    def history(self) -> History:
        """What the log says."""
        return build_history(self.entries)

    @property
    def champion(self) -> str:
        """Digest of the version in use, or empty."""
        return self.history.champion or ""

    @cached_property
    def results(self) -> Mapping[str, UpdateResult]:
        """By claim."""
        return {result.trigger.claim: result for result in list_update_results(self.registry)}

    @cached_property
    def versions(self) -> Mapping[str, Version]:
        """By digest: the champion's lineage and every version that a run here gave."""
        digests = {*self.history.lineage, *(result.version for result in self.results.values() if result.version)}
        return {digest: read_version(self.registry, digest) for digest in sorted(digests)}

    @cached_property
    def lineage(self) -> tuple[tuple[str, Version], ...]:
        """The champion's versions, oldest first."""
        return tuple((digest, self.versions[digest]) for digest in reversed(self.history.lineage))

    @cached_property
    def learned_sites(self) -> tuple[SiteRef, ...]:
        """The model's sites that the champion has learned, in the order it did, each with its test set in force."""
        names = {version.site for _, version in self.lineage} & set(self.sites)
        stores = {name: self.open_store(store_url(self.sites[name])) for name in names}
        test_sets = {name: current_test_set(store) for name, store in stores.items()}
        return learned_site_refs(self.lineage, self.sites, test_sets)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every run of the model, oldest first."""
        return self.backend.runs(name_prefix(self.model.name))

    @cached_property
    def last_scheduled_evaluation(self) -> ScheduledEvaluation | None:
        """The champion's last scheduled evaluation, or none."""
        names = [
            info.key.removeprefix(SCHEDULED_EVALUATIONS).removesuffix(".json")
            for info in self.registry.list(SCHEDULED_EVALUATIONS)
        ]
        for name in sorted(names, reverse=True):
            evaluation = read_scheduled_evaluation(self.registry, name)
            if evaluation and evaluation.version == self.champion:
                return evaluation
        return None

    @cached_property
    def operator_identity(self) -> str:
        """Who this operator is, in the registry's log."""
        return operator_identity(self.model.resource)

    def find_update(self, name: str) -> ModelUpdate:
        """Returns one of the updates."""
        return next(update for update in self.updates if update.metadata.name == name)

    def runs_of(self, name: str) -> tuple[Run, ...]:
        """Returns the runs of an update or evaluation: those called ``<name>-<number>``, in that order."""
        pattern = re.compile(rf"{re.escape(name)}-([0-9]+)")
        numbered = {int(match[1]): run for run in self.runs if (match := pattern.fullmatch(run.name))}
        return tuple(numbered[number] for number in sorted(numbered))

    def result_of(self, update: ModelUpdate) -> UpdateResult | None:
        """Returns what a run of an update found, or none yet."""
        return self.results.get(update.spec.claim)

    def gate_decision(self, update: ModelUpdate) -> Decision | None:
        """Returns what the gate says now of the version that an update gave; none where it gave none."""
        result = self.result_of(update)
        if result is None or not result.version:
            return None
        policy = gate_policy(self.model.resource.spec.gate)  # today's gate, on the test sets that the run was asked for
        return evaluate_gate(
            self.registry, result.version, policy, required_tests(update.spec.request, result.test_set)
        )

    def promotion_entry(self, version: str) -> LogEntry | None:
        """Returns the entry by which a version became champion, or none."""
        return next(
            (entry for entry in self.entries if entry.kind is EntryKind.PROMOTE and entry.subject == version), None
        )
