"""Writes the decisions of people about one model to the registry's log, oldest first, each once.

A decision needs the API server and the registry only: no back end, no site, no source. Its outcome is decided and
written in one step, at one position of the log; the status repeats what the log has.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from anamnesis.operator.api import ContinualModel, LoadedResource, UpdateApproval
from anamnesis.operator.api.admission import ApprovalPolicy
from anamnesis.operator.api.candidate_report import CandidateReport
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.controllers.registries import Registries
from anamnesis.operator.controllers.updateapproval.conditions import approval_status
from anamnesis.operator.controllers.updateapproval.state import concerns_model, is_final, observe_approval
from anamnesis.operator.plan import ApprovalState, ObservedApproval, PlannedApprovalStatus
from anamnesis.operator.plan.approvals import decide_approval, decide_without_model, find_refusal
from anamnesis.operator.runtime.cluster import Cluster, ClusterDownError, LeadershipLostError
from anamnesis.operator.runtime.reconcile_key import ReconcileKey
from anamnesis.records import AnamnesisError, ConflictError, InputError, IntegrityError, LogEntry, RefusedError
from anamnesis.records.timestamps import Clock
from anamnesis.registry import ApprovalToRecord, History, Log, read_update_result, record_approval
from anamnesis.storage import Store

RETRY_DELAY = timedelta(seconds=5)
"""How soon the operator tries again to write a decision to the log."""
_UNREPORTABLE_ERRORS = (ClusterDownError, LeadershipLostError, ConflictError)

ReadReport = Callable[[ContinualModel, ModelUpdate, Store, tuple[LogEntry, ...]], CandidateReport | None]
"""Returns the present report about an update's version; none where the gate does not decide."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """An UpdateApproval whose state is not final, and the ModelUpdate that it names, if there is one.

    Attributes:
        resource: the approval.
        update: the ModelUpdate; none where there is none.
        problem: why the ModelUpdate is not readable, or none.
    """

    resource: UpdateApproval
    update: ModelUpdate | None = None
    problem: InputError | None = None


class ApprovalReconciler:
    """Records the UpdateApprovals of models.

    Args:
        cluster: the API server.
        clock: returns the time, UTC.
        registries: the registries of all models.
        read_report: see ``ReadReport``.
    """

    def __init__(self, cluster: Cluster, clock: Clock, registries: Registries, read_report: ReadReport) -> None:
        self._cluster, self._clock, self._registries = cluster, clock, registries
        self._read_report = read_report

    def reconcile(self, key: ReconcileKey) -> timedelta | None:
        """Records the decisions about the model that ``key`` names; returns when to try again."""
        try:
            model = self._read_model(key)
            if model is None:
                return self._refuse_without_model(key)
            if model.metadata.deletion_timestamp:
                self._report_waiting(self._pending_approvals(key.namespace, key.name), _being_deleted(key.name))
                return RETRY_DELAY
            is_complete = self.record_decisions(LoadedResource(model, Path(f"/{key.namespace}/{key.name}")))
        except _UNREPORTABLE_ERRORS:
            raise
        except AnamnesisError as error:
            logger.warning("%s: a person's decision waits: %s", key, error)
            return RETRY_DELAY
        return None if is_complete else RETRY_DELAY

    def record_decisions(self, loaded_model: LoadedResource[ContinualModel]) -> bool:
        """Writes every decision about a model to the log and to its status; returns whether none is left.

        Raises:
            AnamnesisError: the registry is not reachable, or damaged; the statuses say so.
        """
        pending_approvals = self._pending_approvals(loaded_model.resource.metadata.namespace or "", loaded_model.name)
        if not pending_approvals:
            return True
        try:
            registry = self._open_registry(loaded_model)
            admission_policy = self._cluster.approval_policy()
        except _UNREPORTABLE_ERRORS:
            raise
        except AnamnesisError as error:
            self._report_waiting(pending_approvals, error)
            raise
        is_complete = True
        for approval in pending_approvals:
            try:
                status = self._decide(loaded_model.resource, approval, registry, admission_policy)
            except _UNREPORTABLE_ERRORS:
                raise
            except AnamnesisError as error:  # one damaged version must not keep the other decisions from the log
                is_complete, status = False, _waiting_status(error)
            self._write_status(approval, status)
        return is_complete

    def _open_registry(self, loaded_model: LoadedResource[ContinualModel]) -> Store:
        """The registry, ready for an entry of this operator."""
        sites = self._registries.read_sites(loaded_model)
        model_registry = self._registries.open_model(loaded_model, sites)
        if model_registry.is_established:
            return model_registry.store
        self._registries.establish(loaded_model, sites, model_registry.store, model_registry.entries)
        return self._registries.open_model(loaded_model, sites).store

    def _decide(
        self,
        model: ContinualModel,
        approval: PendingApproval,
        registry: Store,
        admission_policy: ApprovalPolicy,
    ) -> PlannedApprovalStatus:
        """Decides about an approval, and writes it to the log unless another process was faster."""
        if approval.problem:
            raise approval.problem
        log = Log(registry)
        observed = self._observe(model, approval, registry, log.entries(), log.history())
        status = decide_approval(observed, admission_policy)
        if status.state is not ApprovalState.PENDING:
            return status
        self._record(approval.resource, observed, registry)
        entry = log.history().recorded_approvals.get(approval.resource.metadata.uid)
        if entry is None:
            raise IntegrityError(
                f"{registry.url}: the entry that records this decision does not count, because no key of "
                "spec.registry.signing signed it; correct the keys of the operator and of the model"
            )
        return decide_approval(replace(observed, entry=entry), admission_policy)

    def _observe(
        self,
        model: ContinualModel,
        approval: PendingApproval,
        registry: Store,
        entries: tuple[LogEntry, ...],
        history: History,
    ) -> ObservedApproval:
        resource, update = approval.resource, approval.update
        result = read_update_result(registry, update.spec.claim) if update else None
        is_approval = resource.spec.decision == "Approve"
        report = self._read_report(model, update, registry, entries) if update and is_approval else None
        return observe_approval(
            resource,
            update,
            candidate=result.version if result else "",
            present_report=report,
            recorded_approvals=history.recorded_approvals,
        )

    def _read_model(self, key: ReconcileKey) -> ContinualModel | None:
        """The model; where its spec is not valid, its approvals say so, because they wait for it."""
        try:
            return self._cluster.get(ContinualModel, key.namespace, key.name)
        except InputError as error:
            self._report_waiting(self._pending_approvals(key.namespace, key.name), error)
            raise

    def _refuse_without_model(self, key: ReconcileKey) -> timedelta | None:
        """Says that the model of some decisions does not exist: no model of a later day may execute them."""
        statuses = []
        for approval in self._pending_approvals(key.namespace, key.name):
            created_at = approval.resource.metadata.creation_timestamp
            assert created_at is not None  # the API server sets it
            statuses.append(decide_without_model(key.name, created_at, self._clock()))
            self._write_status(approval, statuses[-1])
        return RETRY_DELAY if any(status.state is ApprovalState.PENDING for status in statuses) else None

    def _report_waiting(self, approvals: Iterable[PendingApproval], error: AnamnesisError) -> None:
        for approval in approvals:
            self._write_status(approval, _waiting_status(error))

    def _pending_approvals(self, namespace: str, model: str) -> list[PendingApproval]:
        pending_approvals = []
        for approval in sorted(self._cluster.list(UpdateApproval, namespace), key=_creation_order):
            if is_final(approval):
                continue
            pending_approval = self._with_update(approval, namespace)
            if concerns_model(approval, pending_approval.update, model):
                pending_approvals.append(pending_approval)
        return pending_approvals

    def _with_update(self, approval: UpdateApproval, namespace: str) -> PendingApproval:
        if approval.spec.update is None:
            return PendingApproval(approval)
        try:
            return PendingApproval(approval, self._cluster.get(ModelUpdate, namespace, approval.spec.update))
        except InputError as error:  # a ModelUpdate of another release, which must not stop other decisions
            return PendingApproval(approval, problem=error)

    def _record(self, approval: UpdateApproval, observed: ObservedApproval, registry: Store) -> None:
        spec, metadata = approval.spec, approval.metadata
        logger.info("%s/%s: record %s by %s", metadata.namespace, metadata.name, spec.decision, spec.approver)
        to_record = ApprovalToRecord(
            name=metadata.name,
            uid=metadata.uid,
            decision=observed.decision,
            version=observed.version,
            author=spec.approver,
            reason=spec.reason,
            refusal=find_refusal(observed),
            report=observed.report,
        )
        record_approval(registry, to_record, self._clock)

    def _write_status(self, approval: PendingApproval, status: PlannedApprovalStatus) -> None:
        self._cluster.put_status(approval.resource, approval_status(approval.resource, status, self._clock()))


def _waiting_status(error: AnamnesisError) -> PlannedApprovalStatus:
    return PlannedApprovalStatus(
        ApprovalState.PENDING, f"the decision stands, and the operator tries again to write it to the log: {error}"
    )


def _being_deleted(model: str) -> AnamnesisError:
    return RefusedError(f"ContinualModel {model} is being deleted; once it is gone, the decision is refused")


def _creation_order(approval: UpdateApproval) -> tuple[float, str]:
    created_at = approval.metadata.creation_timestamp
    return (created_at.timestamp() if created_at else 0.0, approval.metadata.name)
