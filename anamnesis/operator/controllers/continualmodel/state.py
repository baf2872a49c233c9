"""Everything that the plan and the statuses of one model need, read at one moment. Plain values: no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Run
from anamnesis.operator.candidates import promotion_entry
from anamnesis.operator.controllers.continualmodel.log_verification import LogVerification
from anamnesis.operator.controllers.registry_access import operator_identity
from anamnesis.records import (
    AnamnesisError,
    Decision,
    Evaluation,
    LogEntry,
    ScheduledEvaluation,
    SiteRef,
    UpdateResult,
    Version,
)
from anamnesis.registry import History


@dataclass(frozen=True, slots=True)
class RegistryState:
    """The log and the results in a model's registry.

    Attributes:
        entries: of the log.
        history: what the entries add up to.
        results: claim -> the result of the run under it.
        versions: by digest: the champion's lineage, and every version that a run gave.
        is_established: the registry has its identity, and this cluster may write to it.
        verification: of the log.
    """

    entries: tuple[LogEntry, ...]
    history: History
    results: Mapping[str, UpdateResult]
    versions: Mapping[str, Version]
    is_established: bool = True
    verification: LogVerification = field(default_factory=LogVerification)

    @property
    def champion(self) -> str:
        """Digest of the version in use, or empty."""
        return self.history.champion or ""

    @property
    def lineage(self) -> tuple[tuple[str, Version], ...]:
        """The champion's versions, oldest first."""
        return tuple((digest, self.versions[digest]) for digest in reversed(self.history.lineage))

    def result_of(self, update: ModelUpdate) -> UpdateResult | None:
        """Returns the result of an update's run, or none yet."""
        return self.results.get(update.spec.claim)

    def promotion_entry(self, version: str) -> LogEntry | None:
        """Returns the entry by which a version became champion, or none."""
        return promotion_entry(version, self.entries)


@dataclass(frozen=True, slots=True)
class StoredEvaluations:
    """Evaluations in a model's registry.

    Attributes:
        test_sets: digests of the test sets that they are on.
        by_version: those of all promoted versions, and of the candidates that the gate decides about.
    """

    test_sets: frozenset[str] = frozenset()
    by_version: Mapping[str, tuple[Evaluation, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationSchedule:
    """The scheduled evaluations of a model.

    Attributes:
        due_at: the last time that the schedule names, or none.
        due_result: the result of the evaluation of that time, or none yet.
        last_result: the champion's last scheduled evaluation, or none.
    """

    due_at: datetime | None
    due_result: ScheduledEvaluation | None
    last_result: ScheduledEvaluation | None


@dataclass(frozen=True, slots=True)
class BackendProblem:
    """Why a back end is not usable: the reason of the condition ``BackendReachable``, and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ModelState:
    """The state of one model.

    Attributes:
        model: the resource.
        sites: those of its sites that exist.
        namespace_sites: all Sites of the namespace where one of the model's does not exist, else none.
        updates: its ModelUpdates, oldest first.
        registry: see ``RegistryState``.
        learned_sites: the model's sites that the champion has learned, in that order, each with its test set in force.
        store_error: why the store of a learned site is not readable, or none; ``learned_sites`` is empty then.
        evaluations: see ``StoredEvaluations``.
        gate_decisions: update -> the gate's decision about its version now; only where the gate decides.
        reports: update -> the report about its version; only where the gate decides, or the status has none yet.
        schedule: see ``EvaluationSchedule``.
        runs: all runs of the model, oldest first; none while the back end is not usable.
        backend_problem: why the back end is not usable, or none.
        split_keys: site -> where its split key is.
        spec_problem: fields of the model and its Sites that mean nothing or contradict each other; empty for none.
        secret_problem: why a Secret that each run needs cannot be used; empty for none.
        now: when this was read.
    """

    model: LoadedResource[ContinualModel]
    sites: Mapping[str, LoadedResource[Site]]
    namespace_sites: Mapping[str, LoadedResource[Site]]
    updates: tuple[ModelUpdate, ...]
    registry: RegistryState
    learned_sites: tuple[SiteRef, ...]
    store_error: AnamnesisError | None
    evaluations: StoredEvaluations
    gate_decisions: Mapping[str, Decision]
    reports: Mapping[str, CandidateReport]
    schedule: EvaluationSchedule
    runs: tuple[Run, ...]
    backend_problem: BackendProblem | None
    split_keys: Mapping[str, str]
    spec_problem: str
    secret_problem: str
    now: datetime

    @property
    def operator_identity(self) -> str:
        """The name of this operator in the registry's log."""
        return operator_identity(self.model.resource)

    def require_learned_sites(self) -> tuple[SiteRef, ...]:
        """Returns the learned sites with their test sets.

        Raises:
            AnamnesisError: the store of one of them is not readable.
        """
        if self.store_error:
            raise self.store_error
        return self.learned_sites

    def find_update(self, name: str) -> ModelUpdate:
        """Returns one of the updates."""
        return next(update for update in self.updates if update.metadata.name == name)

    def runs_of(self, name: str) -> tuple[Run, ...]:
        """Returns the runs of an update or evaluation: those called ``<name>-<number>``, in that order."""
        pattern = re.compile(rf"{re.escape(name)}-([0-9]+)")
        numbered = {int(match[1]): run for run in self.runs if (match := pattern.fullmatch(run.name))}
        return tuple(numbered[number] for number in sorted(numbered))
