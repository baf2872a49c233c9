"""Brings one model in order: read, plan, carry out, tell. Level-based: between two calls only caches are kept."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from anamnesis.operator.addresses import registry_url, split_key_reference
from anamnesis.operator.api import ContinualModel, Loaded, Site
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.backends.base import Backend
from anamnesis.operator.backends.guarded import BackendDownError, guarded
from anamnesis.operator.controller.cluster import Cluster, ClusterDownError
from anamnesis.operator.controller.keys import Key
from anamnesis.operator.models.act import FINALIZER, Actor
from anamnesis.operator.models.checks import check_absolute, check_anchor, check_tasks
from anamnesis.operator.models.claims import identity
from anamnesis.operator.models.observe import observe_cluster
from anamnesis.operator.models.present import approval_status, broken_status, model_status, update_status
from anamnesis.operator.models.release import give_up, open_claims
from anamnesis.operator.models.scene import Scene
from anamnesis.operator.plan import Observed, Status, plan
from anamnesis.records import (
    AnamnesisError,
    ConflictError,
    InputError,
    IntegrityError,
    RefusedError,
    UnreachableError,
)
from anamnesis.records.times import Clock
from anamnesis.registry import Log, Store, open_store
from anamnesis.registry.cached import CachedStore

ROUNDS = 8
"""Of reading, planning and carrying out in one call; what is left then comes in the next."""
PAUSE, RETRY = timedelta(seconds=1), timedelta(seconds=30)

log = logging.getLogger(__name__)

Environment = Mapping[str, str]
Backends = Callable[[Loaded[ContinualModel]], Backend]


@dataclass(frozen=True, slots=True)
class ReconcileOptions:
    """What reconciling needs besides the cluster.

    Attributes:
        environment: of the process; a model's own secret is merged over it.
        state: folder for what the local back end keeps, and split keys where no Secret is named.
        backends: gives a model its back end.
        open_store: opens a registry or a site's store.
    """

    environment: Environment
    state: Path
    backends: Backends
    open_store: Callable[[str, Environment], Store] = open_store


class ModelReconciler:
    """Reconciles ContinualModels with their updates and approvals; keeps a cache of each registry."""

    def __init__(self, cluster: Cluster, clock: Clock, options: ReconcileOptions) -> None:
        self._cluster, self._clock, self._options = cluster, clock, options
        self._stores: dict[tuple[str, frozenset[tuple[str, str]]], Store] = {}

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
        except (
            ClusterDownError,
            ConflictError,
        ):  # nothing can be told there, or others were first: the queue tries again
            raise
        except BackendDownError as error:
            status = broken_status(model, "BackendReachable", "Unreachable", str(error), self._clock())
        except AnamnesisError as error:
            status = broken_status(model, "Ready", _reason(error), str(error), self._clock())
        self._cluster.put_status(model, status)
        return RETRY

    def _reconcile(self, loaded: Loaded[ContinualModel]) -> timedelta | None:
        for _ in range(ROUNDS):
            scene = self._read(loaded)
            observed = observe_cluster(scene)
            actions, planned = plan(loaded.resource.spec, observed, scene.now)
            if not actions:
                break
            actor = Actor(self._cluster, scene)
            for action in actions:
                actor.carry_out(action)
            loaded = self._again(loaded)
        self._tell(scene, observed, planned)
        if actions:
            return PAUSE
        self._let_go(scene)
        return max(planned.again - scene.now, timedelta(seconds=1)) if planned.again else None

    def _read(self, loaded: Loaded[ContinualModel]) -> Scene:
        """Reads what is there: approvals last, so that an update that they name is not read before it is made."""
        model, namespace = loaded.resource, loaded.resource.metadata.namespace or ""
        check_absolute(loaded)
        environment = self._environment(loaded)
        wanted = [reference.name for reference in model.spec.sites]
        found = {site.metadata.name: site for site in self._cluster.list(Site, namespace)}
        sites = {name: Loaded(found[name], Path(f"/{namespace}/{name}")) for name in wanted if name in found}
        check_tasks(loaded, sites)
        updates = self._cluster.list(ModelUpdate, namespace, {"spec.model": loaded.name})
        registry = self._open(registry_url(loaded), environment)
        entries = Log(registry).entries()
        check_anchor(model, entries)
        return Scene(
            model=loaded,
            sites=sites,
            updates=tuple(sorted(updates, key=_age)),
            approvals=self._approvals(loaded, updates),
            guarded_since=self._cluster.approvals_guarded_since(),
            registry=registry,
            open_store=lambda url: self._open(url, environment),
            backend=guarded(lambda: self._options.backends(loaded)),
            entries=entries,
            split_key=split_key_reference(loaded, self._options.state / namespace / loaded.name / "split.key"),
            now=self._clock(),
        )

    def _approvals(
        self, loaded: Loaded[ContinualModel], updates: tuple[ModelUpdate, ...]
    ) -> tuple[UpdateApproval, ...]:
        """The approvals that speak of this model, or of one of its updates, there or forgotten."""
        ours = {update.metadata.name for update in updates}
        found = self._cluster.list(UpdateApproval, loaded.resource.metadata.namespace or "")
        mine = [
            one
            for one in found
            if one.spec.model == loaded.name or one.spec.update in ours or _names_update_of(one, loaded.name)
        ]
        return tuple(sorted(mine, key=_age))

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
        backend = guarded(lambda: self._options.backends(loaded))
        live = [run for run in backend.runs(f"{loaded.name[:52]}-") if not run.state.final]
        for run in live:
            backend.cancel(run)
        self._give_up(loaded)
        self._cluster.set_finalizers(loaded.resource, ())
        return None

    def _give_up(self, loaded: Loaded[ContinualModel]) -> None:
        """A registry that is gone keeps no model from being deleted: claims run out by themselves."""
        try:
            registry = self._open(registry_url(loaded), self._environment(loaded))
            give_up(registry, identity(loaded.resource), self._clock())
        except ClusterDownError:
            raise
        except AnamnesisError as error:
            log.warning("%s: deleted, but its claims hold until they run out: %s", loaded.name, error)

    def _again(self, loaded: Loaded[ContinualModel]) -> Loaded[ContinualModel]:
        namespace = loaded.resource.metadata.namespace or ""
        return Loaded(self._cluster.get(ContinualModel, namespace, loaded.name) or loaded.resource, loaded.file)

    def _environment(self, loaded: Loaded[ContinualModel]) -> Environment:
        reference = loaded.resource.spec.registry.credentials_secret
        if reference is None:
            return self._options.environment
        secret = self._cluster.secret(loaded.resource.metadata.namespace or "", reference.name)
        if secret is None:
            raise InputError(f"spec.registry.credentialsSecret: there is no Secret {reference.name!r} that may be read")
        return {**self._options.environment, **secret}

    def _open(self, url: str, environment: Environment) -> Store:
        key = (url, frozenset((name, value) for name, value in environment.items() if name.startswith("AWS_")))
        if key not in self._stores:
            self._stores[key] = CachedStore(self._options.open_store(url, environment))
        return self._stores[key]


def _names_update_of(approval: UpdateApproval, model: str) -> bool:
    """Whether it names an update that this model might have had: the name's part before the digest."""
    return (approval.spec.update or "").rpartition("-")[0] == model[:52]


def _age(resource: ModelUpdate | UpdateApproval) -> tuple[float, str]:
    made = resource.metadata.creation_timestamp
    return (made.timestamp() if made else 0.0, resource.metadata.name)


def _reason(error: AnamnesisError) -> str:
    reasons: dict[type[AnamnesisError], str] = {
        IntegrityError: "RegistryDamaged",
        UnreachableError: "RegistryUnreachable",
        RefusedError: "Refused",
        InputError: "InvalidSpec",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), "Failed")
