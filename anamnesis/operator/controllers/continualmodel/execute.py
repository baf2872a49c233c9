"""Executes the actions of a plan. Each action may be executed twice, or be interrupted anywhere and executed again."""

import logging
from dataclasses import replace
from datetime import datetime

from anamnesis.operator.api.annotations import LABEL_PREFIX
from anamnesis.operator.api.api_model import API_VERSION, Metadata
from anamnesis.operator.api.update import ModelUpdate, ModelUpdateSpec
from anamnesis.operator.backends.base import Backend, PipelineJob
from anamnesis.operator.controllers.continualmodel.gate_decisions import update_tests
from anamnesis.operator.controllers.continualmodel.jobs import update_job
from anamnesis.operator.controllers.continualmodel.names import claim_digest, update_name
from anamnesis.operator.controllers.continualmodel.orphaned_updates import knows_place_of_runs
from anamnesis.operator.controllers.continualmodel.plan_input import next_update_counter, required_new_patients
from anamnesis.operator.controllers.continualmodel.state import ModelState
from anamnesis.operator.controllers.continualmodel.state_reader import ModelServices
from anamnesis.operator.plan import (
    Action,
    CancelRun,
    ClaimUpdate,
    CreateUpdate,
    DeleteUpdate,
    RecordDecision,
    StartEvaluation,
    StartRun,
)
from anamnesis.operator.requests import evaluation_request, gate_policy, update_request
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.records import SourceState, UpdateTrigger, encode_object
from anamnesis.registry import acquire_claim, evaluate_gate, record_decision

log = logging.getLogger(__name__)


class ActionExecutor:
    """Executes the actions of one plan.

    Args:
        cluster: the API server.
        state: the state that the plan was made of.
        services: the registry and the back end.
    """

    def __init__(self, cluster: Cluster, state: ModelState, services: ModelServices) -> None:
        self._cluster, self._state = cluster, state
        self._registry, self._services = services.registry, services
        self._lost_claims: set[str] = set()  # updates that another operator has claimed

    def execute(self, action: Action) -> None:
        """Executes one action."""
        fields = " ".join(f"{name}={value}" for name, value in encode_object(action).items())
        metadata = self._state.model.resource.metadata
        log.info("%s/%s: %s %s", metadata.namespace, metadata.name, type(action).__name__, fields)
        match action:
            case CreateUpdate():
                self._create_update(action)
            case ClaimUpdate():
                self._claim_update(action)
            case StartRun():
                self._start_run(action)
            case CancelRun():
                self._cancel_run(action)
            case RecordDecision():
                self._record_decision(action)
            case StartEvaluation():
                self._start_evaluation(action)
            case DeleteUpdate():
                self._cluster.delete(self._state.find_update(action.update))

    def _create_update(self, action: CreateUpdate) -> None:
        state, model, site = self._state, self._state.model, self._state.sites[action.site]
        source = site.resource.status.source
        assert source is not None  # a plan creates no update for a site without a source state
        counter = next_update_counter(state, action.site)
        digest = claim_digest(
            model.resource,
            site=action.site,
            source_fingerprint=source.fingerprint,
            base=action.base,
            counter=counter,
            replaced_test_sets=len(state.registry.history.replaced_test_sets),
        )
        name = update_name(model.name, model.resource.metadata.uid, digest)
        trigger = UpdateTrigger(
            update=name,
            claim=digest,
            source_state=SourceState(source.fingerprint, source.files, source.patients),
            counter=counter,
            minimum_patients=required_new_patients(state, action.site),
        )
        request = update_request(
            model,
            site,
            split_key=state.split_keys[action.site],
            base=action.base,
            learned_sites=state.require_learned_sites(),
            author=state.operator_identity,
            trigger=trigger,
        )
        fields = {
            "model": model.name,
            "site": action.site,
            "claim": digest,
            "source_fingerprint": source.fingerprint,
            "patients": source.patients,
            "base_version": action.base or None,
            "counter": counter,
            "request": request,
            "backend": model.resource.spec.backend.location,
            "registry": model.resource.spec.registry,
        }
        spec = ModelUpdateSpec.model_validate(fields, by_name=True, by_alias=False)
        labels = {f"{LABEL_PREFIX}model": model.name, f"{LABEL_PREFIX}site": action.site}
        metadata = Metadata(name=name, namespace=model.resource.metadata.namespace, labels=labels)
        document = {"apiVersion": API_VERSION, "kind": "ModelUpdate", "metadata": metadata, "spec": spec}
        self._cluster.create(ModelUpdate.model_validate(document))  # without an owner: it outlives its model

    def _claim_update(self, action: ClaimUpdate) -> None:
        state, update = self._state, self._state.find_update(action.update)
        author, reason = state.operator_identity, f"update {action.update} with data of {update.spec.site}"
        claim = acquire_claim(
            self._registry,
            update.spec.claim,
            author=author,
            reason=reason,
            deadline=action.deadline,
            clock=self._state_time,
        )
        if claim is None:
            self._lost_claims.add(action.update)

    def _start_run(self, action: StartRun) -> None:
        if action.update in self._lost_claims:
            return
        update = self._state.find_update(action.update)
        if not knows_place_of_runs(update, self._state.model.resource):
            self._cluster.delete(update)  # the next round creates it again, with the places that the model has now
            return
        self._backend.submit(update_job(update, f"{action.update}-{action.attempt}"))

    def _cancel_run(self, action: CancelRun) -> None:
        for run in self._state.runs:
            if run.name == action.run:
                self._backend.cancel(run)

    def _record_decision(self, action: RecordDecision) -> None:
        state, update = self._state, self._state.find_update(action.update)
        result = state.registry.result_of(update)
        assert result is not None  # only an update with a version is decided about
        policy = gate_policy(state.model.resource.spec)
        decision = evaluate_gate(self._registry, result.version, policy, update_tests(update, result))
        record_decision(self._registry, decision, state.operator_identity, decision.reason, clock=self._state_time)

    def _start_evaluation(self, action: StartEvaluation) -> None:
        from anamnesis.pipelines.evaluation.scheduled_evaluation import compiled_pipeline, pipeline_arguments

        state, model = self._state, self._state.model
        request = evaluation_request(
            model,
            state.sites,
            learned_sites=state.require_learned_sites(),
            champion=state.registry.champion,
            split_keys=state.split_keys,
            name=action.evaluation,
            due_at=action.due_at,
            author=state.operator_identity,
        )
        run = f"{action.evaluation}-{action.attempt}"
        self._backend.submit(PipelineJob(run, compiled_pipeline(), pipeline_arguments(replace(request, run=run))))

    @property
    def _backend(self) -> Backend:
        assert self._services.backend is not None  # a plan has no such action while the back end is not usable
        return self._services.backend

    def _state_time(self) -> datetime:
        return self._state.now
