"""Reconciles one model: read, plan, execute, write statuses. Level-based: between two calls only caches are kept."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from anamnesis.operator.api import ContinualModel, LoadedResource
from anamnesis.operator.api.annotations import RUNS_FINALIZER
from anamnesis.operator.api.condition_types import READY
from anamnesis.operator.api.problems import stalls_at
from anamnesis.operator.api.reasons import (
    INVALID_SPEC,
    OTHER_MODEL,
    REFUSED,
    REGISTRY_DAMAGED,
    REGISTRY_UNREACHABLE,
    SECRET_MISSING,
)
from anamnesis.operator.api.status import ContinualModelStatus
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.guarded_backend import BackendError
from anamnesis.operator.controllers.continualmodel.conditions import (
    error_status,
    model_status,
    update_status,
)
from anamnesis.operator.controllers.continualmodel.execute import ActionExecutor
from anamnesis.operator.controllers.continualmodel.orphaned_updates import OrphanedUpdates
from anamnesis.operator.controllers.continualmodel.plan_input import build_plan_input
from anamnesis.operator.controllers.continualmodel.report_reader import read_report
from anamnesis.operator.controllers.continualmodel.reports import report_config_map
from anamnesis.operator.controllers.continualmodel.state import BackendProblem, ModelState
from anamnesis.operator.controllers.continualmodel.state_reader import ModelServices, StateReader
from anamnesis.operator.controllers.options import ReconcileOptions
from anamnesis.operator.controllers.registries import Registries
from anamnesis.operator.controllers.updateapproval.controller import RETRY_DELAY, ApprovalReconciler
from anamnesis.operator.plan import Action, PlanInput, PlannedModelStatus, plan
from anamnesis.operator.runtime.cluster import Cluster, ClusterDownError, LeadershipLostError
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.operator.source_credentials import SecretMissingError
from anamnesis.records import (
    AnamnesisError,
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    UnreachableError,
)
from anamnesis.records.timestamps import Clock
from anamnesis.registry.identity import OtherModelError

MAXIMUM_ROUNDS = 8
"""Rounds of reading, planning and executing in one call; the next call does the rest."""
NEXT_ROUND_DELAY, ERROR_RETRY_DELAY = timedelta(seconds=1), timedelta(seconds=30)
UNREPORTABLE_ERRORS = (ClusterDownError, LeadershipLostError)
"""Errors that no status can report, because nothing can be written."""


class ModelReconciler:
    """Reconciles ContinualModels with their updates. The decisions of people come first, in each round.

    Args:
        cluster: the API server.
        clock: returns the time, UTC.
        options: makes back ends.
        registries: the registries and stores of all models; none: its own.
        approvals: records the decisions of people; none: its own.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        options: ReconcileOptions,
        registries: Registries | None = None,
        approvals: ApprovalReconciler | None = None,
    ) -> None:
        self._cluster, self._clock, self._options = cluster, clock, options
        self._registries = registries or Registries(cluster, clock, options)
        self._approvals = approvals or ApprovalReconciler(cluster, clock, self._registries, read_report)
        self._orphans = OrphanedUpdates(cluster, clock, options, self._registries)
        self._reader = StateReader(cluster, clock, options, self._registries)

    def reconcile(self, key: ReconcileKey) -> timedelta | None:
        """Reconciles one model; returns when to reconcile it again."""
        model = self._cluster.get(ContinualModel, key.namespace, key.name)
        problem = self._orphans.end_all(key, model)
        if model is None or model.metadata.deletion_timestamp:
            if problem:
                raise problem  # the queue tries again, after a growing delay
            if model:
                self._remove_old_finalizer(model)
            return None
        self._remove_old_finalizer(model)
        delay = self._reconcile_present(LoadedResource(model, Path(f"/{key.namespace}/{key.name}")))
        return min(delay or ERROR_RETRY_DELAY, ERROR_RETRY_DELAY) if problem else delay

    def _remove_old_finalizer(self, model: ContinualModel) -> None:
        if RUNS_FINALIZER in model.metadata.finalizers:
            self._cluster.remove_finalizers(model)

    def _reconcile_present(self, loaded_model: LoadedResource[ContinualModel]) -> timedelta | None:
        """Reconciles a model that is not being deleted; an error becomes its status."""
        model = loaded_model.resource
        try:
            return self._reconcile_rounds(loaded_model)
        except (
            *UNREPORTABLE_ERRORS,
            ConflictError,
        ):  # no status can be written, or somebody else was faster: the queue tries again
            raise
        except AnamnesisError as error:
            status = error_status(model, READY, reason=_error_reason(error), message=str(error), now=self._clock())
        self._cluster.put_status(model, status)
        return ERROR_RETRY_DELAY

    def _reconcile_rounds(self, loaded_model: LoadedResource[ContinualModel]) -> timedelta | None:
        previous_state: ModelState | None = None
        backend_problem: BackendProblem | None = None
        for _ in range(MAXIMUM_ROUNDS):
            are_decisions_recorded = self._approvals.record_decisions(loaded_model)
            state, services = self._reader.read(loaded_model, previous_state, backend_problem)
            plan_input = build_plan_input(state)
            actions, planned_status = plan(loaded_model.resource.spec, plan_input, state.now)
            if not actions:
                break
            if not state.registry.is_established:
                self._registries.establish(loaded_model, state.sites, services.registry, state.registry.entries)
                continue
            previous_state = state
            backend_problem = self._execute(actions, state, services)
            loaded_model = self._reader.refresh_model(loaded_model)
        status = self._write_statuses(state, plan_input, planned_status)
        if actions:
            return NEXT_ROUND_DELAY
        if not are_decisions_recorded:
            return RETRY_DELAY
        requeue_times = [time for time in (planned_status.requeue_at, stalls_at(status)) if time]
        return max(min(requeue_times) - state.now, timedelta(seconds=1)) if requeue_times else None

    def _execute(self, actions: Sequence[Action], state: ModelState, services: ModelServices) -> BackendProblem | None:
        """Executes actions; returns why the back end is not usable where one of them shows that."""
        executor = ActionExecutor(self._cluster, state, services)
        try:
            for action in actions:
                executor.execute(action)
        except BackendError as error:
            return BackendProblem(error.reason, str(error))
        return state.backend_problem

    def _write_statuses(
        self, state: ModelState, plan_input: PlanInput, planned_status: PlannedModelStatus
    ) -> ContinualModelStatus:
        for update in state.updates:
            self._publish_report(state, update)
            new_update_status = update_status(state, update, planned_status.updates[update.metadata.name], plan_input)
            self._cluster.put_status(update, new_update_status)
        status = model_status(state, plan_input, planned_status)
        self._cluster.put_status(state.model.resource, status)
        return status

    def _publish_report(self, state: ModelState, update: ModelUpdate) -> None:
        """Writes the report about a version that is not decided yet; the status, written next, names it."""
        name = update.metadata.name
        if name in state.gate_decisions and state.reports[name].digest != update.status.report_digest:
            self._cluster.create_config_map(report_config_map(update, state.reports[name]), owner=update)


def _error_reason(error: AnamnesisError) -> str:
    reasons: dict[type[AnamnesisError], str] = {
        SecretMissingError: SECRET_MISSING,
        OtherModelError: OTHER_MODEL,
        IntegrityError: REGISTRY_DAMAGED,
        UnreachableError: REGISTRY_UNREACHABLE,
        RefusedError: REFUSED,
        InputError: INVALID_SPEC,
    }
    return next((reason for error_type, reason in reasons.items() if isinstance(error, error_type)), "Failed")
