"""Carries out what a plan asks for. Each action may be repeated, or cut off anywhere and begun again."""

import json
import logging
from datetime import datetime

from anamnesis.operator.api.api_model import API_VERSION, Metadata
from anamnesis.operator.api.status import SourceStatus
from anamnesis.operator.api.update import ModelUpdate, ModelUpdateSpec
from anamnesis.operator.backends.base import Job
from anamnesis.operator.controllers.continualmodel.names import approval_mark, claim_digest, update_name
from anamnesis.operator.controllers.continualmodel.plan_input import counter_of, minimum_of
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.plan import (
    Action,
    CancelRun,
    ClaimUpdate,
    Forget,
    Record,
    Settle,
    StartEvaluation,
    StartRun,
    Submit,
)
from anamnesis.operator.requests import evaluation_request, update_request
from anamnesis.operator.runtime.cluster import Cluster
from anamnesis.records import Arrival, Occasion, decode, encode_object
from anamnesis.registry import approve, claim, reject, roll_back, settle
from anamnesis.updates.requests import UpdateRequest

LABEL = "anamnesis.dev/"
FINALIZER = "anamnesis.dev/runs"
"""On a ContinualModel while runs or claims of it live: they lie outside the cluster's own garbage collection."""

log = logging.getLogger(__name__)


class Actor:
    """Carries out the actions of one plan over the scene that it was made of.

    Args:
        cluster: the API server.
        scene: what was there.
    """

    def __init__(self, cluster: Cluster, scene: Scene) -> None:
        self._cluster, self._scene = cluster, scene
        self._lost: set[str] = set()  # updates whose claim another operator holds

    def carry_out(self, action: Action) -> None:
        """Carries out one action."""
        said = " ".join(f"{name}={value}" for name, value in encode_object(action).items())
        model = self._scene.model.resource.metadata
        log.info("%s/%s: %s %s", model.namespace, model.name, type(action).__name__, said)
        match action:
            case Submit():
                self._submit(action)
            case ClaimUpdate():
                self._claim(action)
            case StartRun():
                self._start(action)
            case CancelRun():
                self._cancel(action)
            case Settle():
                self._settle(action)
            case Record():
                self._record(action)
            case StartEvaluation():
                self._evaluate(action)
            case Forget():
                self._cluster.delete(self._scene.update(action.update))

    def _submit(self, action: Submit) -> None:
        scene, model, site = self._scene, self._scene.model, self._scene.sites[action.site]
        source = site.resource.status.source
        assert source is not None  # a site without one is not next
        counter = counter_of(scene, action.site)
        digest = claim_digest(model.resource, action.site, source.fingerprint, action.base, counter)
        name = update_name(model.name, digest)
        occasion = _occasion(name, digest, source, counter, minimum_of(scene, action.site))
        request = update_request(model, site, scene.split_key, action.base, scene.learned, scene.identity, occasion)
        spec = ModelUpdateSpec(
            model=model.name,
            site=action.site,
            claim=digest,
            source=source.fingerprint,
            patients=source.patients,
            base=action.base or None,
            counter=counter,
            request=json.dumps(encode_object(request), ensure_ascii=False),
        )
        labels = {f"{LABEL}model": model.name, f"{LABEL}site": action.site}
        metadata = Metadata(name=name, namespace=model.resource.metadata.namespace, labels=labels)
        document = {"apiVersion": API_VERSION, "kind": "ModelUpdate", "metadata": metadata, "spec": spec}
        self._cluster.create(ModelUpdate.model_validate(document), owner=model.resource)

    def _claim(self, action: ClaimUpdate) -> None:
        scene, update = self._scene, self._scene.update(action.update)
        self._hold()
        who, why = scene.identity, f"update {action.update} with data of {update.spec.site}"
        if claim(scene.registry, update.spec.claim, who, why, action.until, self._clock) is None:
            self._lost.add(action.update)

    def _start(self, action: StartRun) -> None:
        from anamnesis.pipelines.training.continual_update import compiled_pipeline, pipeline_arguments

        if action.update in self._lost:
            return
        update = self._scene.update(action.update)
        request = json.loads(update.spec.request)
        method = decode(UpdateRequest, request, "spec.request").configuration.method
        self._hold()
        name = f"{action.update}-{action.attempt}"
        self._scene.backend.submit(Job(name, compiled_pipeline(method), pipeline_arguments(request)))

    def _cancel(self, action: CancelRun) -> None:
        for run in self._scene.runs:
            if run.name == action.run:
                self._scene.backend.cancel(run)

    def _settle(self, action: Settle) -> None:
        decision = self._scene.judged(self._scene.update(action.update))
        assert decision is not None  # there is a version
        settle(self._scene.registry, decision, self._scene.identity, decision.reason, self._clock)

    def _record(self, action: Record) -> None:
        approval = next(one for one in self._scene.approvals if one.metadata.name == action.approval)
        spec = approval.spec
        write = {"Approve": approve, "Reject": reject, "RollBack": roll_back}[spec.decision]
        why = f"{spec.reason} {approval_mark(approval.metadata.uid)}"
        write(self._scene.registry, spec.version, spec.approver, why, self._clock)

    def _evaluate(self, action: StartEvaluation) -> None:
        from anamnesis.pipelines.evaluation.scheduled_evaluation import compiled_pipeline, pipeline_arguments

        scene, model = self._scene, self._scene.model
        request = evaluation_request(
            model, scene.sites, scene.learned, scene.champion, scene.split_key, action.name, action.due
        )
        self._hold()
        arguments = pipeline_arguments(request)
        scene.backend.submit(Job(f"{action.name}-{action.attempt}", compiled_pipeline(), arguments))

    def _clock(self) -> datetime:
        return self._scene.now

    def _hold(self) -> None:
        """Makes sure that the model does not go before its runs have ended."""
        model = self._scene.model.resource
        if FINALIZER not in model.metadata.finalizers:
            self._cluster.set_finalizers(model, (FINALIZER,))


def _occasion(name: str, digest: str, source: SourceStatus, counter: int, minimum: int) -> Occasion:
    arrival = Arrival(source.fingerprint, source.files, source.patients)
    return Occasion(name, digest, arrival, counter, minimum)
