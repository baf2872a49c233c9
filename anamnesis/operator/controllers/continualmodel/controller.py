"""Brings one model in order: read, plan, carry out, tell. Level-based: between two calls only caches are kept."""

import logging
from datetime import timedelta
from pathlib import Path

from anamnesis.operator.api import ContinualModel, Loaded
from anamnesis.operator.backends.guarded_backend import BackendDownError, guarded
from anamnesis.operator.controllers.continualmodel.claim_release import give_up, open_claims
from anamnesis.operator.controllers.continualmodel.conditions import (
    approval_status,
    broken_status,
    model_status,
    update_status,
)
from anamnesis.operator.controllers.continualmodel.execute import FINALIZER, Actor
from anamnesis.operator.controllers.continualmodel.names import identity, prefix
from anamnesis.operator.controllers.continualmodel.plan_input import observe_cluster
from anamnesis.operator.controllers.continualmodel.state import Scene
from anamnesis.operator.controllers.continualmodel.state_reader import Reader, ReconcileOptions
from anamnesis.operator.plan import Observed, Status, plan
from anamnesis.operator.runtime.cluster import Cluster, ClusterDownError, LeadershipLostError
from anamnesis.operator.runtime.reconcile_key import Key
from anamnesis.records import (
    AnamnesisError,
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    UnreachableError,
)
from anamnesis.records.timestamps import Clock

ROUNDS = 8
"""Of reading, planning and carrying out in one call; what is left then comes in the next."""
PAUSE, RETRY = timedelta(seconds=1), timedelta(seconds=30)
SILENT = (ClusterDownError, LeadershipLostError)
"""What nothing can be told of, as nothing can be written."""

log = logging.getLogger(__name__)


class ModelReconciler:
    """Reconciles ContinualModels with their updates and approvals; keeps a cache of each registry."""

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions) -> None:
        self._cluster, self._clock, self._options = cluster, clock, options
        self._reader = Reader(cluster, clock, options)

    def reconcile(self, key: Key) -> timedelta | None:
        """Brings one model in order; returns when to look again."""
        model = self._cluster.get(ContinualModel, key.namespace, key.name)
        if model is None:
            return None
        loaded = Loaded(model, Path(f"/{key.namespace}/{key.name}"))
        try:
            if model.metadata.deletion_timestamp:
                return self._release(loaded)
            return self._reconcile(loaded)
        except (*SILENT, ConflictError):  # nothing can be told, or others were first: the queue tries again
            raise
        except BackendDownError as error:
            status = broken_status(model, "BackendReachable", "Unreachable", str(error), self._clock())
        except AnamnesisError as error:
            status = broken_status(model, "Ready", _reason(error), str(error), self._clock())
        self._cluster.put_status(model, status)
        return RETRY

    def _reconcile(self, loaded: Loaded[ContinualModel]) -> timedelta | None:
        for _ in range(ROUNDS):
            scene = self._reader.scene(loaded)
            observed = observe_cluster(scene)
            actions, planned = plan(loaded.resource.spec, observed, scene.now)
            if not actions:
                break
            actor = Actor(self._cluster, scene)
            for action in actions:
                actor.carry_out(action)
            loaded = self._reader.again(loaded)
        self._tell(scene, observed, planned)
        if actions:
            return PAUSE
        self._let_go(scene)
        return max(planned.again - scene.now, timedelta(seconds=1)) if planned.again else None

    def _tell(self, scene: Scene, observed: Observed, planned: Status) -> None:
        for update in scene.updates:
            status = update_status(scene, update, planned.updates[update.metadata.name], observed)
            self._cluster.put_status(update, status)
        for approval in scene.approvals:
            said = approval_status(scene, approval, planned.approvals[approval.metadata.name], observed)
            self._cluster.put_status(approval, said)
        wanted = observed.evaluation
        due = (wanted.pending or wanted.next) if wanted else None
        self._cluster.put_status(scene.model.resource, model_status(scene, planned, due))

    def _let_go(self, scene: Scene) -> None:
        """Takes the finalizer off where no run lives and nobody waits for us."""
        model = scene.model.resource
        if FINALIZER not in model.metadata.finalizers or any(not run.state.final for run in scene.runs):
            return
        if not open_claims(scene.history.claims, scene.outcomes, scene.identity, scene.now):
            self._cluster.set_finalizers(model, ())

    def _release(self, loaded: Loaded[ContinualModel]) -> timedelta | None:
        """Ends the runs of a model that is being deleted and gives up its claims, then lets it go."""
        if FINALIZER not in loaded.resource.metadata.finalizers:
            return None
        backend = guarded(lambda: self._options.backends(loaded), self._cluster.require)
        live = [run for run in backend.runs(prefix(loaded.name)) if not run.state.final]
        for run in live:
            backend.cancel(run)
        self._give_up(loaded)
        self._cluster.set_finalizers(loaded.resource, ())
        return None

    def _give_up(self, loaded: Loaded[ContinualModel]) -> None:
        """A registry that is gone keeps no model from being deleted: claims run out by themselves."""
        try:
            registry = self._reader.registry(loaded)
            give_up(registry, identity(loaded.resource), self._clock())
        except SILENT:
            raise
        except AnamnesisError as error:
            log.warning("%s: deleted, but its claims hold until they run out: %s", loaded.name, error)


def _reason(error: AnamnesisError) -> str:
    reasons: dict[type[AnamnesisError], str] = {
        IntegrityError: "RegistryDamaged",
        UnreachableError: "RegistryUnreachable",
        RefusedError: "Refused",
        InputError: "InvalidSpec",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), "Failed")
